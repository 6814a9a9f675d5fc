# SPDX-License-Identifier: Apache-2.0
"""How pictures that a network drew compare with what the camera saw, pixel on pixel."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from talkcodec.metrics.base import Clip
from talkcodec.metrics.dists import Dists
from talkcodec.metrics.lpips import Lpips
from talkcodec.types import U8
from training.losses import LooksLoss


class LooksWeights(Protocol):
    """Weights of the losses: ``near``, mean difference in 8-bit steps, and those of looks."""

    @property
    def near(self) -> float: ...
    @property
    def dists(self) -> float: ...
    @property
    def features(self) -> float: ...
    @property
    def lpips(self) -> float: ...


def looks_losses(
    looks: LooksLoss, weights: LooksWeights, drawn: Tensor, truth: Tensor
) -> dict[str, Tensor]:
    """Return ``loss``, the weighed sum, and its terms, of float pictures (B, 3, H, W), 0 to 255."""
    found = looks(drawn, truth)
    terms = {
        "near": (drawn - truth).abs().mean(),
        "dists": found.dists,
        "features": found.features,
        "lpips": found.lpips,
    }
    weighed = [getattr(weights, name) * value for name, value in terms.items()]
    return {"loss": torch.stack(weighed).sum(), **terms}


def looks_scores(
    shown: Mapping[str, list[U8]], truth: list[U8], *, fast: bool = False
) -> dict[str, float]:
    """Return LPIPS, DISTS and the mean difference of pictures from ``truth``, means over them.

    ``shown``: pictures by what the names of their scores begin with. ``fast``: see ``Dists``.
    """
    scorers = [m.against(Clip(truth, Fraction(1))) for m in (Lpips(), Dists(fast=fast))]
    found: dict[str, float] = {}
    for prefix, pictures in shown.items():
        clip = Clip(pictures, Fraction(1))
        for scorer in scorers:
            scores = scorer.score(clip)
            found |= {f"{prefix}{name}": float(v.mean()) for name, v in scores.items()}
        pairs = zip(pictures, truth, strict=True)
        off = [np.abs(a.astype(np.float32) - b).mean() for a, b in pairs]
        found[f"{prefix}near"] = float(np.mean(off))
    return found
