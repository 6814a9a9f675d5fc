# SPDX-License-Identifier: Apache-2.0
"""Perceptual losses: differences of VGG16 features, and of their statistics."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from talkcodec.metrics.backbones import Vgg16

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class VggLoss(nn.Module):
    """How unlike pictures look, from features of the first stages of VGG16.

    Per channel two things are compared, as in DISTS (Ding et al. 2020) but with equal weights:
    the means (how much of a texture there is) and the correlation (where it is). ``stages``: of
    VGG16's five; the deep ones tell objects apart, not textures. Local: in windows of ``window``
    feature cells, so that texture of one place does not make up for another.
    """

    def __init__(self, stages: int = 4, window: int = 16) -> None:
        super().__init__()
        fast = torch.cpu.get_capabilities().get("avx512_bf16", False)
        self._net = Vgg16(_l2_pool, torch.bfloat16 if fast else torch.float32)
        self._stages, self._window = stages, window

    def forward(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return a scalar, 0 for equal pictures (B, 3, H, W) in 0 to 255."""
        with torch.no_grad():
            truth = self._features(wanted)
        terms = []
        for one, other in zip(self._features(found), truth, strict=True):
            terms.append(self._unlike(one.float(), other.float()))
        return torch.stack(terms).mean()

    def _features(self, picture: Tensor) -> list[Tensor]:
        mean = torch.tensor(_MEAN, device=picture.device).view(1, 3, 1, 1)
        std = torch.tensor(_STD, device=picture.device).view(1, 3, 1, 1)
        x = picture / 255
        return [x, *self._net((x - mean) / std, self._stages)]

    def _unlike(self, x: Tensor, y: Tensor) -> Tensor:
        size = min(self._window, *x.shape[2:])
        x_mean, y_mean = (nnf.avg_pool2d(v, size) for v in (x, y))
        x_var = (nnf.avg_pool2d(x.square(), size) - x_mean.square()).clamp(min=0)
        y_var = (nnf.avg_pool2d(y.square(), size) - y_mean.square()).clamp(min=0)
        both = nnf.avg_pool2d(x * y, size) - x_mean * y_mean
        texture = (2 * x_mean * y_mean + 1e-3) / (x_mean.square() + y_mean.square() + 1e-3)
        structure = (2 * both + 1e-3) / (x_var + y_var + 1e-3)
        return 1 - (texture.mean() + structure.mean()) / 2


def _l2_pool(x: Tensor) -> Tensor:
    """Halve by the root of a Hann-weighted mean of squares, which aliases less than maxima."""
    window = np.hanning(5)[1:-1]
    kernel = torch.tensor(np.outer(window, window) / window.sum() ** 2, dtype=x.dtype)
    channels = x.shape[1]
    weight = kernel.to(x.device).expand(channels, 1, 3, 3)
    return (nnf.conv2d(x.square(), weight, stride=2, padding=1, groups=channels) + 1e-6).sqrt()
