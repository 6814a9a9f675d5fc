# SPDX-License-Identifier: Apache-2.0
"""Processor time a frame, detection included, in turns so that all meet the same load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from talkcodec.face import FaceTracker
from training.evaluate.material import Material


def milliseconds(
    open_trackers: Mapping[str, Callable[[], FaceTracker]], item: Material, rounds: int = 5
) -> dict[str, dict[str, float]]:
    """Track ``item`` ``rounds`` times with each tracker by turns; return ``mean`` and ``least``.

    ``mean``: over frames, of the median round; ``least``: of the fastest. Time is that of this
    process's threads together, so a second core would not make it look less.
    """
    found: dict[str, list[float]] = {name: [] for name in open_trackers}
    trackers = {name: open_() for name, open_ in open_trackers.items()}
    try:
        for _ in range(rounds + 1):
            for name, tracker in trackers.items():
                tracker.reset()
                # Some adapters load a network with the first picture: no frame of a call does.
                tracker.track(item.frames[0], -1 / float(item.rate))
                begin = time.process_time()
                for index, frame in enumerate(item.frames):
                    tracker.track(frame, index / float(item.rate))
                found[name].append((time.process_time() - begin) / len(item.frames) * 1000)
    finally:
        for tracker in trackers.values():
            tracker.close()
    # The first round warms caches up.
    return {
        name: {"mean": float(np.median(times[1:])), "least": min(times[1:])}
        for name, times in found.items()
    }
