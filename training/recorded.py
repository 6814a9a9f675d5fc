# SPDX-License-Identifier: Apache-2.0
"""A tracker that repeats what the teacher saw, so that experiments need not track again."""

from __future__ import annotations

from talkcodec.types import U8, Box, FaceObservation
from training.corpus import Labels


class RecordedTracker:
    """A ``FaceTracker`` over the labels of one clip, in order."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._next = 0

    def track(self, picture: U8, time: float) -> FaceObservation | None:  # noqa: ARG002 - protocol
        """Return the next frame's observation; ``picture`` and ``time`` are not looked at."""
        index, self._next = self._next, self._next + 1
        if index >= len(self._labels.found) or not self._labels.found[index]:
            return None
        landmarks = self._labels.landmarks[index]
        low, high = landmarks.min(0), landmarks.max(0)
        box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return FaceObservation(landmarks, 1.0, box)

    def reset(self) -> None:
        """Start the clip again."""
        self._next = 0

    def close(self) -> None:
        """Nothing to release."""
