# SPDX-License-Identifier: Apache-2.0
"""Clips of people nobody was trained on (though they chose the checkpoint), and what the teacher
saw in them: the tracker of which ours learned, not the truth.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcodec.types import F32, F64, U8, Bool
from training.corpus import Clip, clips, load_labels, pictures, unseen


@dataclass(frozen=True, slots=True)
class Material:
    """A clip in memory. ``frames``: uint8 (H, W, 3) each; ``teacher``: float32 (T, 478, 3) in
    pixels; ``found``: bool (T,), where the teacher saw the face.
    """

    name: str
    identity: int
    frames: list[U8]
    rate: Fraction
    teacher: F32
    found: Bool

    def first(self, count: int) -> Material:
        """Return the first ``count`` frames."""
        return Material(
            self.name,
            self.identity,
            self.frames[:count],
            self.rate,
            self.teacher[:count],
            self.found[:count],
        )


def load(clip: Clip, labels: Path) -> Material:
    """Read a clip and its labels.

    Raises:
        InputError: it has not been labelled.
    """
    seen = load_labels(labels, clip)
    frames = pictures(clip)
    return Material(clip.name, clip.identity, frames, clip.rate, seen.landmarks, seen.found)


def all_of(data: Path, labels: Path, names: Container[str] | None = None) -> Iterator[Material]:
    """Yield every val clip, by name, or only those among ``names``."""
    for clip in clips(data, "val"):
        if names is None or clip.name in names:
            yield load(clip, labels)


def unseen_of(data: Path, labels: Path) -> Iterator[Material]:
    """Yield the train clips that weights that ship have not seen, by name."""
    for clip in unseen(data):
        yield load(clip, labels)


def one_a_person(data: Path, labels: Path, frames: int) -> list[Material]:
    """Return the first ``frames`` of the longest val clip of every person."""
    longest: dict[int, Clip] = {}
    for clip in clips(data, "val"):
        best = longest.get(clip.identity)
        if best is None or clip.seconds > best.seconds:
            longest[clip.identity] = clip
    return [load(clip, labels).first(frames) for clip in longest.values()]


def yaw(landmarks: F32) -> F64:
    """Return how far heads (T, 478, 3) are turned sideways, degrees: the line between the temples
    in the plane of x and depth.
    """
    across = landmarks[:, 454] - landmarks[:, 234]
    return np.asarray(np.degrees(np.arctan2(across[:, 2], across[:, 0])), np.float64)
