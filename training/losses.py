# SPDX-License-Identifier: Apache-2.0
"""How unlike pictures look, as losses: DISTS and LPIPS themselves, and differences of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor

from talkcodec.metrics.backbones import AlexNet, Vgg16, checkpoint
from talkcodec.metrics.dists import l2_pool, weights_of_channels
from training.device import best_precision

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_STABLE = 1e-6


@dataclass(frozen=True, slots=True)
class Looks:
    """Scalars, 0 for equal pictures. ``features``: mean difference over mean size, by stage."""

    dists: Tensor
    features: Tensor
    lpips: Tensor


class LooksLoss:
    """Compares pictures (B, 3, H, W) in 0 to 255 by networks trained on ImageNet.

    ``stages``: of VGG16's five whose features are compared one by one; the deep ones tell objects
    apart, not where their edges are. The networks are moved to the pictures' device at the first
    use.
    """

    def __init__(self, stages: int = 3) -> None:
        fast = best_precision("cuda" if torch.cuda.is_available() else "cpu") == "bf16-mixed"
        self._vgg = Vgg16(l2_pool, torch.bfloat16 if fast else torch.float32)
        self._alex = AlexNet()
        self._alpha, self._beta = weights_of_channels()
        arrays = checkpoint("alexnet")
        self._heads = [
            torch.from_numpy(arrays[f"NetLinLayer_{i}/Conv_0/kernel"]).permute(3, 2, 0, 1)
            for i in range(5)
        ]
        self._stages = stages
        self._device = torch.device("cpu")

    def __call__(self, found: Tensor, wanted: Tensor) -> Looks:
        self._move(found.device)
        with torch.no_grad():
            truth, alex_truth = self._layers(wanted), self._unit(wanted)
        layers = self._layers(found)
        sizes = zip(layers[1 : self._stages + 1], truth[1 : self._stages + 1], strict=True)
        features = [(x - y).abs().mean() / y.abs().mean().clamp(min=1e-3) for x, y in sizes]
        alex = zip(self._unit(found), alex_truth, self._heads, strict=True)
        lpips = [nnf.conv2d((x - y).square(), head).mean() for x, y, head in alex]
        return Looks(
            self._dists(layers, truth), torch.stack(features).mean(), torch.stack(lpips).sum()
        )

    def _dists(self, found: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """DISTS (Ding et al. 2020), mean over the batch."""
        texture, structure = [], []
        for x, y in zip(found, wanted, strict=True):
            x_mean, x_var, both = _Moments.apply(x, y)  # type: ignore[no-untyped-call]
            y_mean, y_var = _moments(y)
            means = x_mean.square() + y_mean.square()
            texture.append((2 * x_mean * y_mean + _STABLE) / (means + _STABLE))
            structure.append((2 * both + _STABLE) / (x_var + y_var + _STABLE))
        alike = torch.cat(texture, 1) @ self._alpha + torch.cat(structure, 1) @ self._beta
        return 1 - alike.mean()

    def _layers(self, picture: Tensor) -> list[Tensor]:
        x = picture / 255
        normal = (x - _channels(_MEAN, x)) / _channels(_STD, x)
        return [x, *(layer.float() for layer in self._vgg(normal))]

    def _unit(self, picture: Tensor) -> list[Tensor]:
        x = picture / 127.5 - 1
        raw = self._alex((x - _channels(_SHIFT, x)) / _channels(_SCALE, x))
        return [f / (f.square().sum(1, keepdim=True) + 1e-8).sqrt() for f in raw]

    def _move(self, device: torch.device) -> None:
        if device == self._device:
            return
        self._vgg.to(device)
        self._alex.to(device)
        self._alpha, self._beta = self._alpha.to(device), self._beta.to(device)
        self._heads = [head.to(device) for head in self._heads]
        self._device = device


class _Moments(torch.autograd.Function):
    """Mean and variance of ``x``, and its covariance with ``y``, over (B, C, H, W): (B, C) each.

    Gradients flow to ``x``. Written out, for all that is needed of the maps is two sums on the way
    there and one on the way back; autograd passes over them a dozen times, which is half of the
    time of a step on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = _moments(x)
        y_mean = y.mean((2, 3))
        ctx.save_for_backward(x, y, mean, y_mean)
        return mean, variance, (x * y).mean((2, 3)) - mean * y_mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, y, mean, y_mean = ctx.saved_tensors
        of_mean, of_variance, of_both = (g / (x.shape[2] * x.shape[3]) for g in gradients)
        constant = of_mean - 2 * of_variance * mean - of_both * y_mean
        slope, other, constant = (v[..., None, None] for v in (2 * of_variance, of_both, constant))
        return torch.addcmul(torch.addcmul(constant, x, slope), y, other), None


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance over (B, C, H, W), (B, C) each."""
    mean = x.mean((2, 3))
    return mean, (x.square().mean((2, 3)) - mean.square()).clamp(min=0)


def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device).view(1, 3, 1, 1)
