# SPDX-License-Identifier: Apache-2.0
"""Does the face do what the person did? Source and output are tracked and compared.

Averages over the whole picture hide a mouth that stays shut; these columns do not. Lengths are in
% of the distance between the eye centres. Tracking the same pictures twice through a light codec
already gives about 0.9 (lips), 0.6 (eyes) and 0.6 (iris): that is the floor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from talkcodec.face import FaceTracker, open_tracker
from talkcodec.metrics.base import Clip, Column, Scores, check_pair
from talkcodec.types import F32, F64

# Indices into the 478 landmarks; right and left are the person's own.
_INNER_LIPS = ((82, 87), (13, 14), (312, 317))
_RIGHT_LIDS = ((160, 144), (159, 145), (158, 153))
_LEFT_LIDS = ((385, 380), (386, 374), (387, 373))
_RIGHT_CORNERS, _RIGHT_IRIS = (33, 133), 468
_LEFT_CORNERS, _LEFT_IRIS = (362, 263), 473
#: Points that no expression moves much: eye corners, nose bridge, forehead, temples.
_RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 9, 8, 151, 10, 127, 356, 234, 454, 93, 323)

_COLUMNS = ("lips", "eyes", "iris", "pose", "face_lost")
_UNITS = ("% IOD", "% IOD", "% IOD", "°", "%")


#: Who judges. The built-in tracker learned from this one and shares its mistakes: what both see
#: wrongly is not counted. Measured on the same pictures, mistakes that are its own are.
JUDGE = "mediapipe"


def open_judge() -> FaceTracker:
    """Open the tracker that source and output are looked at with.

    Raises:
        MissingDependency: it is not installed.
    """
    return open_tracker(JUDGE)


def track(clip: Clip, tracker: FaceTracker) -> list[F32 | None]:
    """Return float32 (478, 3) landmarks of every frame, None where no face is seen."""
    tracker.reset()
    found = []
    for index, frame in enumerate(clip.frames):
        seen = tracker.track(frame, float(index / clip.fps))
        found.append(None if seen is None else seen.landmarks)
    return found


class Face:
    """Errors of lip opening, eyelid opening, irises and head pose, and how often no face is seen.

    A frame counts where the source shows a face; where only the output lacks it the errors are
    NaN and ``face_lost`` is 100.
    """

    name = "face"
    columns = tuple(
        Column(name, unit, lower_is_better=True)
        for name, unit in zip(_COLUMNS, _UNITS, strict=True)
    )
    whole = True

    def __init__(self, open_: Callable[[], FaceTracker] = open_judge) -> None:
        self._tracker = open_()

    def against(self, source: Clip) -> FaceScorer:
        return FaceScorer(self._tracker, source)


class FaceScorer:
    """Face errors against one source, tracked once."""

    def __init__(self, tracker: FaceTracker, source: Clip) -> None:
        self._tracker = tracker
        self._source = source
        self._landmarks = track(source, tracker)

    def score(self, output: Clip) -> Scores:
        check_pair(self._source, output)
        rows = np.full((len(output.frames), len(_COLUMNS)), np.nan)
        pairs = zip(self._landmarks, track(output, self._tracker), strict=True)
        for row, (wanted, found) in zip(rows, pairs, strict=True):
            if wanted is not None:
                row[:] = (*[np.nan] * 4, 100.0) if found is None else (*errors(wanted, found), 0.0)
        return {name: rows[:, index] for index, name in enumerate(_COLUMNS)}


def errors(wanted: F32, found: F32) -> tuple[float, float, float, float]:
    """Return lip, eyelid and iris error in % of the inter-ocular distance, and pose error in °.

    ``wanted``, ``found``: float32 (478, 3) landmarks of source and output in the same pixels.
    """
    percent = 100 / max(interocular(wanted), 1e-6)
    lips = abs(_opening(wanted, _INNER_LIPS) - _opening(found, _INNER_LIPS))
    eyes = [abs(_opening(wanted, p) - _opening(found, p)) for p in (_RIGHT_LIDS, _LEFT_LIDS)]
    iris = np.linalg.norm(_irises(wanted) - _irises(found), axis=1)
    return (
        lips * percent,
        float(np.mean(eyes)) * percent,
        float(iris.mean()) * percent,
        rotation_between(wanted[list(_RIGID)], found[list(_RIGID)]),
    )


def interocular(landmarks: F32) -> float:
    """Distance of the two eye centres (middle of the corners) in 3-D."""
    right, left = (landmarks[list(c)].mean(0) for c in (_RIGHT_CORNERS, _LEFT_CORNERS))
    return float(np.linalg.norm(right - left))


def rotation_between(a: F32, b: F32) -> float:
    """Angle in degrees of the rotation that best turns points ``a`` into ``b``, both (n, 3)."""
    centred_a = a.astype(np.float64) - a.mean(0)
    centred_b = b.astype(np.float64) - b.mean(0)
    u, _, vt = np.linalg.svd(centred_a.T @ centred_b)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    cosine = (np.trace(u @ flip @ vt) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _opening(landmarks: F32, pairs: tuple[tuple[int, int], ...]) -> float:
    upper, lower = np.array(pairs).T
    return float(np.linalg.norm(landmarks[upper] - landmarks[lower], axis=1).mean())


def _irises(landmarks: F32) -> F64:
    """Iris centres relative to the middle of their eye's corners, (2, 2) in pixels."""
    eyes = ((_RIGHT_IRIS, _RIGHT_CORNERS), (_LEFT_IRIS, _LEFT_CORNERS))
    offsets = [landmarks[iris, :2] - landmarks[list(c), :2].mean(0) for iris, c in eyes]
    return np.array(offsets, np.float64)
