# SPDX-License-Identifier: Apache-2.0
"""When, on our clock, a source's time 0 was: the least delay seen is nearest to none."""

from __future__ import annotations

from collections import deque


class Timeline:
    """Follows one source. ``window``: hand-overs remembered, so that clocks may drift."""

    def __init__(self, window: int = 250) -> None:
        self._offsets: deque[float] = deque(maxlen=window)
        self.origin: float | None = None

    def note(self, time: float, now: float) -> None:
        """What the source stamped ``time`` was handed over at ``now``, both in seconds."""
        self._offsets.append(now - time)
        self.origin = min(self._offsets)
