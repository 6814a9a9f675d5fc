# SPDX-License-Identifier: Apache-2.0
"""DISTS (Ding et al. 2020): structure and texture similarity on VGG16 features.

Written from the formula of the authors' ``DISTS-pytorch``, whose learned weights are used:
per channel of the picture and of five feature maps, a similarity of means (texture) weighted by
alpha and a correlation of variations (structure) weighted by beta; DISTS is 1 minus their sum.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from talkcodec.errors import WeightsError
from talkcodec.metrics.backbones import Vgg16, to_tensor
from talkcodec.metrics.base import Clip, Column, Scores, check_pair
from talkcodec.metrics.weights import package_file
from talkcodec.types import U8

REQUIREMENT = "DISTS-pytorch==0.1"

_CHANNELS = (3, 64, 128, 256, 512, 512)
_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
_STABLE = 1e-6

#: Source features kept in memory, in frames (33 MB each at 256²); the rest is computed again.
_KEPT_FRAMES = 40


def l2_pool(x: Tensor) -> Tensor:
    """Halve by the root of a Hann-weighted mean of squares, as DISTS does in place of max."""
    # Two means over two by two are the Hann window of three; a grouped convolution takes longer.
    squares = nnf.avg_pool2d(x.square(), 2, stride=1, padding=1)
    return (nnf.avg_pool2d(squares, 2) + 1e-12).sqrt()


def weights_of_channels() -> tuple[Tensor, Tensor]:
    """Return alpha (texture) and beta (structure) of the picture's and all features' channels.

    float32 (1475,) each, together of sum 1.

    Raises:
        WeightsError: the package's file holds something else.
    """
    path = package_file("DISTS_pytorch", REQUIREMENT, "weights.pt")
    loaded = torch.load(path, weights_only=True)
    if {k: tuple(v.shape) for k, v in loaded.items()} != dict.fromkeys(
        ("alpha", "beta"), (1, sum(_CHANNELS), 1, 1)
    ):
        raise WeightsError("expected DISTS weights alpha and beta of 1475 channels")
    total = loaded["alpha"].sum() + loaded["beta"].sum()
    alpha, beta = ((loaded[name] / total).detach().view(-1) for name in ("alpha", "beta"))
    return alpha, beta


class Dists:
    """Distance of pictures, 0 (identical) to 1."""

    name = "dists"
    columns = (Column("dists", "", lower_is_better=True),)
    whole = False

    def __init__(self, *, fast: bool = False) -> None:
        """``fast``: bfloat16 features, twice the speed, within 0.001 of the exact value."""
        self._net = Vgg16(l2_pool, torch.bfloat16 if fast else torch.float32)
        self._alpha, self._beta = weights_of_channels()

    def against(self, source: Clip) -> DistsScorer:
        return DistsScorer(self, source)

    @torch.inference_mode()
    def features(self, frame: U8) -> list[Tensor]:
        """The picture itself and five feature maps, each (C, h, w)."""
        x = to_tensor([frame])
        return [layer[0] for layer in (x, *self._net((x - _MEAN) / _STD))]

    @torch.inference_mode()
    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """DISTS of two feature lists."""
        texture, structure = [], []
        for x_any, y_any in zip(a, b, strict=True):
            x, y = x_any.float(), y_any.float()
            x_mean, y_mean = x.mean((1, 2)), y.mean((1, 2))
            x_var = (x - x_mean[:, None, None]).square().mean((1, 2))
            y_var = (y - y_mean[:, None, None]).square().mean((1, 2))
            covariance = (x * y).mean((1, 2)) - x_mean * y_mean
            means = x_mean.square() + y_mean.square()
            texture.append((2 * x_mean * y_mean + _STABLE) / (means + _STABLE))
            structure.append((2 * covariance + _STABLE) / (x_var + y_var + _STABLE))
        similarity = (self._alpha * torch.cat(texture)).sum()
        return max(0.0, float(1 - similarity - (self._beta * torch.cat(structure)).sum()))


class DistsScorer:
    """DISTS against one source."""

    def __init__(self, metric: Dists, source: Clip) -> None:
        self._metric = metric
        self._source = source
        self._kept = [metric.features(frame) for frame in source.frames[:_KEPT_FRAMES]]

    def score(self, output: Clip) -> Scores:
        check_pair(self._source, output)
        values = []
        for index, frame in enumerate(output.frames):
            kept = index < len(self._kept)
            source = (
                self._kept[index] if kept else self._metric.features(self._source.frames[index])
            )
            values.append(self._metric.distance(source, self._metric.features(frame)))
        return {"dists": np.array(values)}
