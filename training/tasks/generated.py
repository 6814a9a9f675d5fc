# SPDX-License-Identifier: Apache-2.0
"""What a generator draws of val people, beside what the geometric renderer draws."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from talkcodec.metrics.base import Clip
from talkcodec.metrics.dists import Dists
from talkcodec.metrics.lpips import Lpips
from talkcodec.render.closeup import Part
from talkcodec.types import F64, U8
from training.coded import CodedStore
from training.tasks.driven import Driven, Group, Stager, collate

#: Sides of the boxes about mouth and eyes, pixels: width and height.
_MOUTH, _EYES = (64, 48), (88, 32)


def fixed_groups(
    store: CodedStore, count: int, frames: int = 2, parts: Sequence[Part] = ()
) -> list[Group]:
    """Return the same ``count`` groups every time, from clips all over the store.

    Each has two references, its clip's first and another, and is drawn from the first. ``parts``:
    that are looked at closely.
    """
    stager = Stager(store, parts)
    clips = np.array(sorted(store.of_clip))
    clips = clips[np.linspace(0, len(clips) - 1, count).astype(int)]
    groups = []
    for number, clip in enumerate(clips):
        random = np.random.default_rng(number)
        own = store.of_clip[int(clip)]
        rows = np.array([own[0], own[int(random.integers(1, len(own)))]], np.int32)
        there = np.flatnonzero(store.store.clip == clip)
        chosen = random.choice(there[1:], frames, replace=False)
        groups.append(stager.group(rows, chosen, np.ones(frames, np.bool_)))
    return groups


class Comparison:
    """Scores of one generator after another on the same groups."""

    def __init__(self, groups: list[Group]) -> None:
        self._groups = groups
        self._frames = [frame for group in groups for frame in group.frames]
        truth = Clip([frame.truth for frame in self._frames], Fraction(1))
        self._scorers = [metric.against(truth) for metric in (Lpips(), Dists(fast=True))]
        self._warp = self._scores([frame.staged.warped for frame in self._frames])

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Return scores of the painted pictures; the warp's own begin with ``warp_``.

        ``score``: mean ratio to the warp's of LPIPS, DISTS, and differences in mouth and eyes.
        """
        painted, doubt = self._painted(network)
        found = self._scores(painted)
        parts = ("lpips", "dists", "mouth", "eyes")
        score = float(np.mean([found[part] / self._warp[part] for part in parts]))
        true = [
            np.abs(frame.truth.astype(float) - picture).mean()
            for frame, picture in zip(self._frames, painted, strict=True)
        ]
        known = float(np.corrcoef(doubt, np.log(true))[0, 1])
        warp = {f"warp_{name}": value for name, value in self._warp.items()}
        return {"score": score, **found, "doubt_correlation": known, **warp}

    def sheet(self, network: nn.Module, rows: int = 8) -> U8:
        """Return rows of reference, warp, painted and truth."""
        painted, _ = self._painted(network)
        out = []
        for index in np.linspace(0, len(self._frames) - 1, rows).astype(int):
            frame = self._frames[index]
            group = self._groups[index // len(self._groups[0].frames)]
            out.append(
                np.hstack([group.reference, frame.staged.warped, painted[index], frame.truth])
            )
        return np.vstack(out)

    def _painted(self, network: nn.Module) -> tuple[list[U8], F64]:
        pictures: list[U8] = []
        doubts: list[float] = []
        for group in self._groups:
            batch = {k: torch.from_numpy(v) for k, v in collate([group]).items()}
            with torch.no_grad():
                made = network(batch)
            out = made["painted"].float().clamp(0, 255).round().to(torch.uint8)
            pictures += list(out.permute(0, 2, 3, 1).contiguous().numpy())
            doubts += made["doubt"][:, 0].tolist()
        return pictures, np.array(doubts)

    def _scores(self, pictures: list[U8]) -> dict[str, float]:
        values: dict[str, float] = {}
        for scorer in self._scorers:
            scores = scorer.score(Clip(pictures, Fraction(1)))
            values |= {name: float(value.mean()) for name, value in scores.items()}
        pairs = list(zip(self._frames, pictures, strict=True))
        values["near"] = float(np.mean([_off(f, p).mean() for f, p in pairs]))
        values["mouth"] = float(np.mean([_box(_off(f, p), f.mouth, _MOUTH) for f, p in pairs]))
        values["eyes"] = float(np.mean([_box(_off(f, p), f.eyes, _EYES) for f, p in pairs]))
        return values


def _off(frame: Driven, picture: U8) -> F64:
    return np.asarray(np.abs(frame.truth.astype(np.float64) - picture).mean(-1))


def _box(off: F64, centre: tuple[float, float], size: tuple[int, int]) -> float:
    left, top = (round(c - s / 2) for c, s in zip(centre, size, strict=True))
    part = off[max(top, 0) : max(top, 0) + size[1], max(left, 0) : max(left, 0) + size[0]]
    return float(part.mean()) if part.size else 0.0
