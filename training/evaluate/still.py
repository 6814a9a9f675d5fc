# SPDX-License-Identifier: Apache-2.0
"""How much landmarks tremble while a face is still.

Still passages are chosen by the pictures, not by anybody's landmarks: the tenth of all windows of
0.4 s in which the pixels about the face change least from frame to frame. In a window a straight
line is taken off each landmark's path (a slow turn is no trembling), and what is left is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from talkcodec.types import F32, F64
from training.evaluate.material import Material

#: Seconds of a window, and the share of windows that count.
WINDOW, SHARE = 0.4, 0.1


def still_windows(material: Iterable[Material]) -> dict[str, list[slice]]:
    """Return the stillest windows: clip to frames. One clip at a time is held in memory."""
    found: list[tuple[float, str, slice]] = []
    for item in material:
        length = max(round(WINDOW * item.rate), 4)
        changes = _changes(item)
        for start in range(0, len(item.frames) - length + 1, length):
            window = slice(start, start + length)
            if item.found[window].all():
                change = float(changes[start + 1 : start + length].mean())
                found.append((change, item.name, window))
    found.sort(key=lambda row: row[0])
    out: dict[str, list[slice]] = {}
    for _, name, window in found[: max(round(SHARE * len(found)), 1)]:
        out.setdefault(name, []).append(window)
    return out


def jitter(landmarks: F32, size: float) -> float:
    """Return the mean standard deviation, pixels at 256², of landmarks (T, 478, 3) about straight
    paths. ``size``: side of the picture that they are in.
    """
    points = landmarks[..., :2].reshape(len(landmarks), -1).astype(np.float64) * (256 / size)
    time = np.arange(len(points)) - (len(points) - 1) / 2
    slope = time @ points / (time @ time)
    rest = points - points.mean(0) - time[:, None] * slope
    # Two numbers were fitted to each path.
    variance = (rest**2).sum(0) / (len(points) - 2)
    return float(np.sqrt(variance.reshape(-1, 2).sum(1)).mean())


def _changes(item: Material) -> F64:
    """Return the mean change of the pixels about the face from the frame before, (T,)."""
    marks = item.teacher[item.found]
    if not len(marks):
        return np.zeros(len(item.frames))
    low = np.maximum(marks[..., :2].min((0, 1)).astype(int), 0)
    high = marks[..., :2].max((0, 1)).astype(int) + 1
    box = [f[low[1] : high[1], low[0] : high[0]].astype(np.int16) for f in item.frames]
    steps = [np.abs(b - a).mean() for a, b in pairwise(box)]
    return np.array([0.0, *steps])
