# SPDX-License-Identifier: Apache-2.0
"""Landmarks against the teacher's, tracked as in a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from talkcodec.face import FaceTracker
from talkcodec.motion.landmarks import inter_ocular
from talkcodec.types import F32, LANDMARKS, U8, Bool
from training.corpus import GLASSES
from training.evaluate.conditions import CONDITIONS, two_faces
from training.evaluate.material import Material, yaw
from training.tasks.measure import Scores

#: A mean error of this share of the inter-ocular distance is another place, not an inaccuracy.
LOST = 0.5
#: Bounds of the bins of yaw, degrees.
YAW_BINS = ((0, 15), (15, 30), (30, 45), (45, 60))


def follow(tracker: FaceTracker, frames: Sequence[U8], rate: float) -> tuple[F32, Bool]:
    """Return landmarks (T, 478, 3) and where there were any, bool (T,)."""
    tracker.reset()
    landmarks = np.zeros((len(frames), LANDMARKS, 3), np.float32)
    found = np.zeros(len(frames), bool)
    for index, frame in enumerate(frames):
        seen = tracker.track(frame, index / rate)
        if seen is not None:
            landmarks[index], found[index] = seen.landmarks, True
    return landmarks, found


class Tally:
    """Errors where the face is followed, and how often it is not."""

    def __init__(self) -> None:
        self._scores = Scores()
        self._frames = self._lost = 0

    def add(self, found: F32, seen: Bool, teacher: F32, there: Bool) -> None:
        """Take in T frames; only those with ``there`` count."""
        if not there.any():
            return
        off = np.linalg.norm(found[..., :2] - teacher[..., :2], axis=-1).mean(1)
        near = off < LOST * inter_ocular(teacher)
        good = there & seen & near
        self._frames += int(there.sum())
        self._lost += int((there & ~good).sum())
        if good.any():
            self._scores.add(found[good], teacher[good])

    def row(self) -> dict[str, Any]:
        """Return the errors in % of the inter-ocular distance, correlations, losses in %."""
        lost = 100 * self._lost / max(self._frames, 1)
        if self._lost == self._frames:
            return {"frames": self._frames, "lost": lost}
        values = self._scores.values()
        percent = {k: 100 * values[k] for k in ("all", "lips", "lids", "irises")}
        correlations = {k: values[k] for k in ("lip_correlation", "blink_correlation")}
        return {"frames": self._frames, "lost": lost, **percent, **correlations}


def whole_split(tracker: FaceTracker, material: Iterable[Material]) -> dict[str, Any]:
    """Return the row of all frames, of people with glasses, and one for each bin of yaw."""
    everything, glasses, bins = Tally(), Tally(), [Tally() for _ in YAW_BINS]
    for item in material:
        found, seen = follow(tracker, item.frames, float(item.rate))
        everything.add(found, seen, item.teacher, item.found)
        if item.identity in GLASSES:
            glasses.add(found, seen, item.teacher, item.found)
        turned = np.abs(yaw(item.teacher))
        for tally, (low, high) in zip(bins, YAW_BINS, strict=True):
            inside = item.found & (turned >= low) & (turned < high)
            tally.add(found, seen, item.teacher, inside)
    rows = {"people with glasses": glasses.row()} | {
        f"yaw {low} to {high}°": tally.row()
        for (low, high), tally in zip(YAW_BINS, bins, strict=True)
    }
    return {"all": everything.row(), **{k: v for k, v in rows.items() if v["frames"]}}


def robustness(tracker: FaceTracker, material: Sequence[Material]) -> dict[str, Any]:
    """Return a row for every condition; with two faces, the one followed first counts."""
    rows = {}
    for name, spoil in CONDITIONS.items():
        tally = Tally()
        for item in material:
            found, seen = follow(tracker, spoil(item), float(item.rate))
            tally.add(found, seen, item.teacher, item.found)
        rows[name] = tally.row()
    tally = Tally()
    for one, other in zip(material, [*material[1:], material[0]], strict=True):
        left, right = two_faces(one, other), two_faces(other, one)
        found, seen = follow(tracker, left.frames, float(left.rate))
        # The right one's truth lies 256 pixels further on.
        shifted = right.teacher + np.array([256, 0, 0], np.float32)
        first = int(np.argmax(seen))
        middle = found[first, :, 0].mean()
        truth, there = (left.teacher, left.found) if middle < 256 else (shifted, right.found)
        tally.add(found, seen, truth, there)
    rows["two faces"] = tally.row()
    return rows
