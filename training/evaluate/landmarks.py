# SPDX-License-Identifier: Apache-2.0
"""Landmarks against the teacher's, tracked as in a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

Rows = dict[str, dict[str, Any]]


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


def kept(found: F32, seen: Bool, truth: F32) -> Bool:
    """Return where the face is followed: landmarks (T, 478, 3) are there, and on the same face."""
    off = np.linalg.norm(found[..., :2] - truth[..., :2], axis=-1).mean(1)
    return np.asarray(seen & (off < LOST * inter_ocular(truth)), np.bool_)


class Tally:
    """Errors where the face is followed, and how often it is not."""

    def __init__(self) -> None:
        self._scores = Scores()
        self._frames = self._lost = 0
        self._scored = False

    def add(self, found: F32, seen: Bool, truth: F32, there: Bool, among: Bool) -> None:
        """Take in T frames; those with ``there`` count, and of their errors those ``among``."""
        good = there & kept(found, seen, truth)
        self._frames += int(there.sum())
        self._lost += int((there & ~good).sum())
        scored = good & among
        if scored.any():
            self._scored = True
            self._scores.add(found[scored], truth[scored])

    def row(self) -> dict[str, Any]:
        """Return the errors in % of the inter-ocular distance, correlations, losses in %."""
        lost = 100 * self._lost / max(self._frames, 1)
        if not self._scored:
            return {"frames": self._frames, "lost": lost}
        values = self._scores.values()
        percent = {k: 100 * values[k] for k in ("all", "lips", "lids", "irises")}
        correlations = {k: values[k] for k in ("lip_correlation", "blink_correlation")}
        return {"frames": self._frames, "lost": lost, **percent, **correlations}


def whole_split(tracker: FaceTracker, material: Iterable[Material]) -> Rows:
    """Return the row of all frames, of people with glasses, and one for each bin of yaw."""
    everything, glasses, bins = Tally(), Tally(), [Tally() for _ in YAW_BINS]
    for item in material:
        found, seen = follow(tracker, item.frames, float(item.rate))
        everything.add(found, seen, item.teacher, item.found, item.found)
        if item.identity in GLASSES:
            glasses.add(found, seen, item.teacher, item.found, item.found)
        turned = np.abs(yaw(item.teacher))
        for tally, (low, high) in zip(bins, YAW_BINS, strict=True):
            inside = item.found & (turned >= low) & (turned < high)
            tally.add(found, seen, item.teacher, inside, inside)
    rows = {"all": everything.row(), "people with glasses": glasses.row()} | {
        f"yaw {low} to {high}°": tally.row()
        for (low, high), tally in zip(YAW_BINS, bins, strict=True)
    }
    return {name: row for name, row in rows.items() if row["frames"]}


def robustness(
    trackers: Mapping[str, FaceTracker], material: Sequence[Material]
) -> dict[str, Rows]:
    """Return for each tracker a row for every condition.

    Errors are over the frames that all trackers kept, so that none looks better for having lost
    the hard ones. With two faces, the one followed first counts.
    """
    rows: dict[str, Rows] = {name: {} for name in trackers}
    for condition, spoil in CONDITIONS.items():
        tallies = {name: Tally() for name in trackers}
        for item in material:
            frames = spoil(item)
            tracks = {n: follow(t, frames, float(item.rate)) for n, t in trackers.items()}
            truths = dict.fromkeys(trackers, (item.teacher, item.found))
            _add(tallies, tracks, truths)
        for name, tally in tallies.items():
            rows[name][condition] = tally.row()
    tallies = {name: Tally() for name in trackers}
    for one, other in zip(material, [*material[1:], material[0]], strict=True):
        left, right = two_faces(one, other), two_faces(other, one)
        tracks = {n: follow(t, left.frames, float(left.rate)) for n, t in trackers.items()}
        # The right one's truth lies 256 pixels further on.
        shifted = right.teacher + np.array([256, 0, 0], np.float32)
        sides = ((left.teacher, left.found), (shifted, right.found))
        truths = {name: sides[int(_first(*track) >= 256)] for name, track in tracks.items()}
        _add(tallies, tracks, truths)
    for name, tally in tallies.items():
        rows[name]["two faces"] = tally.row()
    return rows


def _first(found: F32, seen: Bool) -> float:
    """Return where the first face that was reported lies, pixels from the left."""
    return float(found[int(np.argmax(seen)), :, 0].mean())


def _add(
    tallies: Mapping[str, Tally],
    tracks: Mapping[str, tuple[F32, Bool]],
    truths: Mapping[str, tuple[F32, Bool]],
) -> None:
    """Count one clip for every tracker, errors over the frames that all kept."""
    among = np.logical_and.reduce([kept(*tracks[n], truths[n][0]) & truths[n][1] for n in tallies])
    for name, tally in tallies.items():
        (found, seen), (truth, there) = tracks[name], truths[name]
        tally.add(found, seen, truth, there, among)
