# SPDX-License-Identifier: Apache-2.0
"""What the other side's receiver reports tell of the path (RFC 3550 section 6.4.1).

While ordinary video goes out there is no motion by which to know the path. aiortc's reports come
once a second: the part of the packets that was lost, and a round trip. What that is longer than at
its best, packets stood in a queue; and if the queue grew meanwhile by as much as the time that
passed, half of what was sent came through. Short queues overflow instead: so loss tells as well, as
far as it is more than the path loses anyhow, which motion told, or a lower rate does not change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiortc.rtcrtpsender import RTT_ALPHA

from talkcodec.rtc.path import PathState

#: Seconds of a round trip beyond its best for which no jitter is to blame: one report is enough.
_SURE = 0.25

#: Seconds over which the best round trip is remembered, and between two reports at least.
_MEMORY, _SHORT = 30.0, 0.2

#: Loss beyond what there is anyhow that means a full queue: a part of the packets, and of that
#: loss; reports over which the least is remembered; seconds that such a queue is taken to stand.
_LOST, _LOST_PART, _LOST_MEMORY, _OVERFLOWING = 0.15, 0.5, 8, 0.12

#: Seconds of a queue that stands.
_STANDS = 0.06


@dataclass(frozen=True, slots=True)
class LineReport:
    """``at``: when it came, seconds of any clock; ``loss``: since the one before, 0 to 1;
    ``rtt``: smoothed as aiortc does it, seconds, None before the first.
    """

    at: float
    loss: float
    rtt: float | None


def line_report(stats: Iterable[Any]) -> LineReport | None:
    """Return the report among aiortc's ``stats`` of a sender, None before there was one."""
    found = next((part for part in stats if part.type == "remote-inbound-rtp"), None)
    if found is None:
        return None
    return LineReport(found.timestamp.timestamp(), found.fractionLost / 256, found.roundTripTime)


class LinePath:
    """Makes reports into states of the path. Time is seconds of the caller's clock."""

    def __init__(self) -> None:
        self._newest: LineReport | None = None
        self._since: tuple[float, float] | None = None
        self._trips: deque[tuple[float, float]] = deque(maxlen=64)
        self._queues: deque[float] = deque(maxlen=2)
        self._received: deque[float] = deque(maxlen=2)
        self._losses: deque[float] = deque(maxlen=_LOST_MEMORY)
        self._anyhow, self._stood = 0.0, False
        self.begin(None, None, 0.0)

    def begin(self, rtt: float | None, loss: float | None, now: float) -> None:
        """Video begins; ``rtt`` (seconds) and ``loss`` (0 to 1): what motion knew, if it did."""
        self._since = None
        self._queues.clear()
        self._queues.append(0.0)
        self._received.clear()
        self._losses.clear()
        self._losses.append(0.0)
        self._anyhow, self._stood = loss or 0.0, False
        if rtt is not None:
            self._trips.append((now, rtt))

    def take(self, report: LineReport, sent: float, now: float) -> PathState | None:
        """Return what ``report`` shows, None if it is not new.

        ``sent``: bytes on the wire that left so far, of everything.
        """
        before, since = self._newest, self._since
        if before is not None and report.at == before.at:
            return None
        self._newest, self._since = report, (now, sent)
        rtt, grown = _single(report, before), 0.0
        if rtt is not None:
            grown = self._note_trip(rtt, now)
        newest = self._queues[-1]
        queue = newest if newest > _SURE else min(self._queues)
        overflows = self._overflows(report.loss)
        if overflows:
            queue = newest = max(queue, _OVERFLOWING)
        received = drained = None
        if since is not None and now - since[0] >= _SHORT:
            passed = max(now - since[0] + grown, _SHORT)
            received = 8 * (sent - since[1]) * (1 - report.loss) / passed
            self._received.append(received)
            # An old round trip says neither that a queue still stands nor what comes through it.
            if rtt is not None or overflows:
                # After a cut a report may be on the time before it, when the queue still grew.
                drained = max(self._received) if self._stood else received
        self._stood = queue > _STANDS
        return PathState(
            rtt, report.loss, queue=queue, newest=newest, received=received, drained=drained
        )

    def _note_trip(self, rtt: float, now: float) -> float:
        """Remember a round trip, and return the seconds by which the queue has grown."""
        self._trips.append((now, rtt))
        while self._trips[0][0] < now - _MEMORY:
            self._trips.popleft()
        self._queues.append(rtt - min(trip for _, trip in self._trips))
        return self._queues[-1] - self._queues[0]

    def _overflows(self, loss: float) -> bool:
        """Note ``loss``, and return whether more is lost than there is anyhow.

        Reports are on some ten packets, so two of them have to say so.
        """
        least = max(self._anyhow, min(self._losses))
        both = (self._losses[-1] + loss) / 2
        self._losses.append(loss)
        return both > least + _LOST + _LOST_PART * least


def _single(report: LineReport, before: LineReport | None) -> float | None:
    """Return the one round trip that a smoothed one took in last, None if there was none."""
    if report.rtt is None or before is None or before.rtt is None:
        return report.rtt
    if report.rtt == before.rtt:
        return None
    return max((report.rtt - RTT_ALPHA * before.rtt) / (1 - RTT_ALPHA), 0.0)
