# SPDX-License-Identifier: Apache-2.0
"""When the receiver tells the sender how packets arrive: seldom, and at once in trouble.

A report and its acknowledgement cost a quarter of a kilobyte, so a call that fares well sends one
in two seconds. Three things cannot wait: motion that comes later and later, because a queue is
growing somewhere; motion that stopped coming; and motion that is missing.
"""

from __future__ import annotations

from collections import deque

from talkcodec.bitstream import GroupHeader, unwrap
from talkcodec.bitstream.report import MAX_AGE, MAX_ARRIVALS, Arrival, PathReport

#: Seconds between reports: in peace, while motion is lost, and while it comes late or not at all.
REPORT_INTERVAL, LOSING, LATE = 2.0, 1.0, 0.2

#: Seconds by which motion must be later than it was at its best to be reported at once, and over
#: which that best is remembered.
_RISE, _MEMORY = 0.08, 5.0

#: Packets missing since the last report that are worth another.
_HOLES = 2

#: Motion has stopped when nothing came for so many intervals, and for so many seconds.
_SILENT_INTERVALS, _SILENT = 3.0, 0.3

_MAX_SPACING = 8


class ArrivalLog:
    """Takes arrivals, says when a report is due and makes it. Time is seconds of the clock."""

    def __init__(self) -> None:
        self.tick_seconds: float | None = None
        self._arrivals: deque[tuple[int, float, bool]] = deque(maxlen=MAX_ARRIVALS)
        self._received = 0
        self._due: float | None = None
        self._reported = float("-inf")
        self._silent_at: float | None = None
        self._last: tuple[int, int, float] | None = None  # end tick, frames, time
        self._interval = 0.0
        self._spacing = 1.0
        self._best: deque[tuple[float, float]] = deque()
        self._holes = 0

    def started(self, now: float) -> None:
        """The first message came."""
        if self._due is None:
            self._due = now + REPORT_INTERVAL / 4

    def motion(self, header: GroupHeader, now: float) -> None:
        """A motion packet came."""
        self._received += 1
        self._arrivals.append((header.tick16, now, False))
        first = unwrap(header.tick16, self._last[0] if self._last else header.tick16)
        self._learn(first, header.count, now)
        end = first + round((header.count - 1) * self._spacing)
        if self._last is None or end > self._last[0]:
            self._last = end, header.count, now
        if self.tick_seconds is not None and self._rises(now - end * self.tick_seconds, now):
            self._hurry(LATE)
        if self._holes >= _HOLES:
            self._hurry(LOSING)
        self._silent_at = now + max(_SILENT_INTERVALS * self._interval, _SILENT)

    def chunk(self, sequence: int, index: int, now: float, *, answer: bool) -> None:
        """A chunk came; ``answer``: the sender waits for a report."""
        self._arrivals.append((sequence << 8 | index, now, True))
        if answer:
            self._due = now

    def next_due(self) -> float | None:
        """Return when ``due`` has a report."""
        times = [time for time in (self._due, self._silent_at) if time is not None]
        return min(times, default=None)

    def due(self, now: float, delay: float, held: tuple[int, ...]) -> PathReport | None:
        """Return the report of this moment if it is time for one.

        ``delay``: playout delay in seconds; ``held``: sequence numbers in the bank.
        """
        when = self.next_due()
        if when is None or now < when:
            return None
        if self._silent_at is not None and now >= self._silent_at:
            self._silent_at = None  # told once
        self._due = now + REPORT_INTERVAL
        self._reported, self._holes = now, 0
        arrivals = tuple(
            Arrival(number, min(round(1000 * (now - time)), MAX_AGE), chunk)
            for number, time, chunk in self._arrivals
        )
        self._arrivals.clear()
        return PathReport(
            clock=round(1000 * now) % 2**32,
            received=self._received % 2**16,
            delay_ms=min(max(round(1000 * delay), 0), 0xFFFF),
            arrivals=arrivals,
            held=held[:8],
        )

    def _learn(self, first: int, count: int, now: float) -> None:
        """Learn from neighbours how far apart frames and packets are; count the holes between."""
        if self._last is None:
            return
        end, before, time = self._last
        start = end - round((before - 1) * self._spacing)
        if first <= start:
            return
        spacing = (first - start) / before
        if spacing <= max(1.5 * self._spacing, self._spacing + 0.5) or self._interval == 0.0:
            self._spacing = min(max(spacing, 1.0), _MAX_SPACING)
            elapsed = min(now - time, 1.0)
            self._interval = elapsed if not self._interval else (3 * self._interval + elapsed) / 4
        else:
            step = max(count * self._spacing, 1.0)
            self._holes += min(round((first - start) / step) - 1, _MAX_SPACING)
            # A sender that now makes every other frame only would look like loss for ever.
            self._spacing = min(self._spacing + 0.25, _MAX_SPACING)

    def _rises(self, transit: float, now: float) -> bool:
        """Note a packet's ``transit`` and return whether it came late."""
        while self._best and self._best[-1][1] >= transit:
            self._best.pop()
        self._best.append((now, transit))
        while self._best[0][0] < now - _MEMORY:
            self._best.popleft()
        return transit > self._best[0][1] + _RISE

    def _hurry(self, distance: float) -> None:
        """Move the next report up to ``distance`` seconds after the last one."""
        soon = self._reported + distance
        self._due = soon if self._due is None else min(self._due, soon)
