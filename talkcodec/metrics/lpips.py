# SPDX-License-Identifier: Apache-2.0
"""LPIPS v0.1 with AlexNet (Zhang et al. 2018), as a number or as a map."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as nnf
from torch import Tensor

from talkcodec.metrics.backbones import AlexNet, checkpoint, to_tensor
from talkcodec.metrics.base import Clip, Column, Scores, check_pair
from talkcodec.types import F32, U8

_SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_SCALE = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
_BATCH = 4


class Lpips:
    """Distance of pictures, 0 (identical) to about 1."""

    name = "lpips"
    columns = (Column("lpips", "", lower_is_better=True),)
    whole = False

    def __init__(self) -> None:
        self._net = AlexNet()
        arrays = checkpoint("alexnet")
        self._heads = [
            torch.from_numpy(arrays[f"NetLinLayer_{i}/Conv_0/kernel"]).permute(3, 2, 0, 1)
            for i in range(5)
        ]

    def against(self, source: Clip) -> LpipsScorer:
        return LpipsScorer(self, source)

    @torch.inference_mode()
    def features(self, frames: list[U8]) -> list[Tensor]:
        """Unit-length features of the five layers, each (n, C, h, w)."""
        raw = self._net((to_tensor(frames) * 2 - 1 - _SHIFT) / _SCALE)
        # 1e-10 as in the reference implementation, where a dark patch has no length to divide by.
        return [f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in raw]

    @torch.inference_mode()
    def distances(self, a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        """Weighted squared differences per layer, each (n, 1, h, w)."""
        layers = zip(a, b, self._heads, strict=True)
        return [nnf.conv2d((x - y).square(), head) for x, y, head in layers]


class LpipsScorer:
    """LPIPS against one source, whose features are kept (2.5 MB a frame at 256²)."""

    def __init__(self, metric: Lpips, source: Clip) -> None:
        self._metric = metric
        self._source = source
        frames = list(source.frames)
        self._batches = [
            metric.features(frames[i : i + _BATCH]) for i in range(0, len(frames), _BATCH)
        ]

    def score(self, output: Clip) -> Scores:
        means = [
            torch.stack([layer.mean((1, 2, 3)) for layer in layers]).sum(0)
            for layers in self._distances(output)
        ]
        return {"lpips": torch.cat(means).double().numpy()}

    def maps(self, output: Clip) -> list[F32]:
        """Return a float32 (H, W) map per frame whose mean is close to the frame's LPIPS."""
        height, width = output.frames[0].shape[:2]
        maps: list[F32] = []
        for layers in self._distances(output):
            full = [nnf.interpolate(x, (height, width), mode="bilinear") for x in layers]
            maps.extend(torch.stack(full).sum(0)[:, 0].numpy())
        return maps

    def _distances(self, output: Clip) -> Iterator[list[Tensor]]:
        check_pair(self._source, output)
        frames = list(output.frames)
        for index, source in enumerate(self._batches):
            batch = frames[index * _BATCH : (index + 1) * _BATCH]
            yield self._metric.distances(source, self._metric.features(batch))
