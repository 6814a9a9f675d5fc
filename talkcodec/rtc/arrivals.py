# SPDX-License-Identifier: Apache-2.0
"""When the receiver tells the sender how packets arrive: seldom, and at once in trouble.

A report and its acknowledgement cost a quarter of a kilobyte, so a call that fares well sends one
in two seconds. Three things cannot wait: motion that comes later and later, because a queue is
growing somewhere; motion that stopped coming; and motion that is missing.
"""

from __future__ import annotations

from collections import deque

from talkcodec.bitstream import GroupHeader, StreamHeader, unwrap
from talkcodec.bitstream.report import MAX_AGE, MAX_ARRIVALS, Arrival, PathReport

#: Seconds between reports: in peace, while motion is lost, and while it comes late or not at all.
REPORT_INTERVAL, LOSING, LATE = 2.0, 1.0, 0.2

#: Seconds by which motion must be later than it was at its best to be late, over which that best
#: is remembered, and by which it must have become later still to be told again.
_RISE, _MEMORY, _FURTHER = 0.08, 5.0, 0.04

#: Packets remembered for that, of each size of group.
_PACKETS = 512

#: Packets missing since the last report that are worth another.
_HOLES = 2

#: A step between packets that is so much longer than the shortest of the last few is a hole.
_STEPS, _LONG = 8, 1.7

#: Ticks without motion after which it begins anew.
_PAUSE = 100

#: Motion has stopped when nothing came for so many intervals, and for so many seconds.
_SILENT_INTERVALS, _SILENT = 3.0, 0.3


class ArrivalLog:
    """Takes arrivals, says when a report is due and makes it. Time is seconds of the clock."""

    def __init__(self) -> None:
        self._tick_seconds: float | None = None
        self._arrivals: deque[tuple[int, float, bool]] = deque(maxlen=MAX_ARRIVALS)
        self._received = 0
        self._due: float | None = None
        self._reported = float("-inf")
        self._silent_at: float | None = None
        self._before = 0
        self._tick: int | None = None
        self._at = 0.0
        self._steps: deque[tuple[int, float]] = deque(maxlen=_STEPS)
        self._best: dict[int, deque[tuple[float, float]]] = {}
        self._told = 0.0
        self._holes = 0

    def started(self, now: float) -> None:
        """The first message came."""
        if self._due is None:
            self._due = now + REPORT_INTERVAL / 4

    def header(self, header: StreamHeader) -> None:
        """A stream header came: how long ticks are, and from which one they go on."""
        self._tick_seconds = float(1 / header.tick_rate)
        self._before = header.tick

    def motion(self, header: GroupHeader, now: float) -> None:
        """A motion packet came."""
        self._received += 1
        self._arrivals.append((header.tick16, now, False))
        tick = self._before = unwrap(header.tick16, self._before)
        self._note_holes(tick, now)
        if self._tick_seconds is not None:
            # Larger groups leave later: each size has a best of its own.
            late = self._later(header.count, now - tick * self._tick_seconds, now)
            if late > max(_RISE, self._told + _FURTHER):
                self._told = late
                self._hurry(LATE)
            elif late < _RISE:
                self._told = 0.0
        if self._holes >= _HOLES:
            self._hurry(LOSING)
        interval = min((seconds for _, seconds in self._steps), default=0.0)
        self._silent_at = now + max(_SILENT_INTERVALS * interval, _SILENT)

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

    def _note_holes(self, tick: int, now: float) -> None:
        """Count what is missing between the newest packet and this one."""
        if self._tick is None or tick - self._tick > _PAUSE:
            self._steps.clear()
        elif tick <= self._tick:
            return  # reordered
        else:
            step = tick - self._tick
            shortest = min((ticks for ticks, _ in self._steps), default=step)
            self._holes += step > _LONG * shortest
            self._steps.append((step, now - self._at))
        self._tick, self._at = tick, now

    def _later(self, count: int, transit: float, now: float) -> float:
        """Note a packet's ``transit`` and return how much later than the best of its kind it is."""
        best = self._best.setdefault(count, deque(maxlen=_PACKETS))
        while best and best[-1][1] >= transit:
            best.pop()
        best.append((now, transit))
        while best[0][0] < now - _MEMORY:
            best.popleft()
        return transit - best[0][1]

    def _hurry(self, distance: float) -> None:
        """Move the next report up to ``distance`` seconds after the last one."""
        soon = self._reported + distance
        self._due = soon if self._due is None else min(self._due, soon)
