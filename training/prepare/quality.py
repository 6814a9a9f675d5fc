# SPDX-License-Identifier: Apache-2.0
"""Is a passage good enough to learn from? Figures of single frames, and the verdict over them.

Thresholds were read off the research clips: see each one's comment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from talkcodec.motion.landmarks import inter_ocular
from talkcodec.types import F32, F64, U8, Bool, Box

Reason = Literal[
    "unreadable", "short", "no face", "tiny face", "lost face", "jumps", "blur", "interlace",
    "duplicate",
]  # fmt: skip

#: Least height of a face in the source, in pixels: below it 256² is mostly invented.
LEAST_FACE = 72.0
#: Least share of frames in which the teacher sees the face.
LEAST_FOUND = 0.9
#: Least ``detail``. Of 68 clips: 0.39 to 0.93, median 0.65; after a Gaussian blur of 2 pixels
#: 0.20 to 0.28.
LEAST_DETAIL = 0.33
#: Most ``combing`` where something moves. Progressive clips stay below 0.9.
MOST_COMBING = 1.15
#: A landmark jump: mean second difference, ÷ inter-ocular distance, at 25 frames a second.
JUMP = 0.3
#: Most jumps a frame.
MOST_JUMPS = 0.02

_MOVING = 12  # least change of a pixel that moves, in 8-bit steps
_ENOUGH = 300  # moving pixels that say something about combing


@dataclass(frozen=True, slots=True)
class Figures:
    """Quality of a passage, as stored with it.

    ``face``: median height in source pixels. ``found``: share of frames, 0 to 1. ``detail``,
    ``combing``: see the functions; combing is 0 where nothing moves. ``jumps``: a frame, 0 to 1.
    """

    seconds: float
    face: float
    found: float
    detail: float
    combing: float
    jumps: float

    def verdict(self, least_seconds: float) -> tuple[Reason, str] | None:
        """Return why the passage is refused, with the figure, or None if it is kept."""
        checks: tuple[tuple[bool, Reason, str], ...] = (
            (self.seconds < least_seconds, "short", f"{self.seconds:.2f} s"),
            (self.face < LEAST_FACE, "tiny face", f"{self.face:.0f} px"),
            (self.found < LEAST_FOUND, "lost face", f"found in {self.found:.1%}"),
            (self.combing > MOST_COMBING, "interlace", f"combing {self.combing:.2f}"),
            (self.detail < LEAST_DETAIL, "blur", f"detail {self.detail:.2f}"),
            (self.jumps > MOST_JUMPS, "jumps", f"in {self.jumps:.1%} of the frames"),
        )
        return next(((reason, told) for bad, reason, told in checks if bad), None)


def detail(grey: U8, face: Box) -> float:
    """Return finest detail ÷ middle detail of the face in ``grey``, uint8 (256, 256); NaN if the
    face is outside.

    Standard deviations of what lies below 1 pixel and of what lies between 2 and 4.
    """
    height, width = grey.shape
    left, top = max(int(face.left), 0), max(int(face.top), 0)
    right, bottom = min(int(face.right) + 1, width), min(int(face.bottom) + 1, height)
    if right - left < 16 or bottom - top < 16:
        return float("nan")
    part = grey[top:bottom, left:right].astype(np.float32)
    one, two, four = (cv2.GaussianBlur(part, (0, 0), sigma) for sigma in (1, 2, 4))
    return float((part - one).std() / max(float((two - four).std()), 1e-3))


def combing(grey: U8, before: U8) -> float:
    """Return how much more neighbouring lines differ than those two apart, where it moves.

    ``grey``, ``before``: uint8 (H, W), a frame and the one before it, as the source has them.
    Above 1 only where lines are of two fields. NaN if too little moves to tell.
    """
    now = grey.astype(np.int16)
    moving = np.abs(now - before)[1:-1] > _MOVING
    if int(moving.sum()) < _ENOUGH:
        return float("nan")
    # At an edge of a moving thing, in one column: lines of one field agree, of two do not.
    neighbours = (np.abs(now[1:-1] - now[:-2]) + np.abs(now[1:-1] - now[2:]))[moving]
    apart = np.abs(now[2:] - now[:-2])[moving]
    return float(neighbours.sum() / (2 * max(int(apart.sum()), 1)))


def jump_share(landmarks: F32, found: Bool, seconds: Sequence[float]) -> float:
    """Return the share of frames at which the landmarks jump there and back, or away.

    ``landmarks``: float32 (T, 478, 3); ``found``: bool (T,); ``seconds``: time of each frame.
    """
    if len(found) < 3 or not found.any():
        return 0.0
    unit = float(np.median(inter_ocular(landmarks[found])))
    points: F64 = landmarks[..., :2].astype(np.float64)
    second = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1).mean(-1)
    known = found[2:] & found[1:-1] & found[:-2]
    # A slower camera sees longer ways between frames.
    steps = np.maximum(np.diff(np.asarray(seconds))[1:] * 25, 1)
    jumps = known & (second > JUMP * max(unit, 1e-3) * steps**2)
    return float(jumps.mean())


def median(values: Sequence[float]) -> float:
    """Return the median of those that are numbers, 0 if none is."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else 0.0
