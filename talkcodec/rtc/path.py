# SPDX-License-Identifier: Apache-2.0
"""What the sender knows of the path: loss, round trip, queue and rate, from the reports.

The receiver lists what arrived when; only the sender knows when it left. A packet's *transit* is
its arrival on the receiver's clock minus its departure on ours; the smallest of the last seconds
is the path without a queue, and what a packet takes longer it stood in one. The clocks' unknown
difference drops out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from talkcodec.bitstream.report import Arrival, PathReport

#: Bytes that DTLS, SCTP, UDP and IPv4 add to a message of a data channel, and of the answer that
#: aiortc gives to each. Measured: tests/bench/test_rates.py.
MESSAGE_OVERHEAD, MESSAGE_ANSWER = 95, 93

#: A transit is the path's own while it is the smallest of so many seconds.
MEMORY = 10.0

#: Packets over which loss is counted, at most.
_LOSS_PACKETS = 100

#: Seconds of queue from which packets come as fast as the bottleneck lets them.
_STANDING = 0.03

#: Seconds below which a chunk's own time says nothing: clocks and event loops are not better.
_SHORT = 0.005

#: Departures remembered; an arrival that is older than all of these teaches nothing.
_REMEMBERED = 512

_HALF, _WHOLE = 1 << 31, 1 << 32


@dataclass(frozen=True, slots=True)
class PathState:
    """The path as the last report showed it.

    ``rtt``: seconds, or None before the first. ``loss``: of motion packets, 0 to 1. ``counted``:
    packets that this is out of. ``queue``: seconds that the newest two packets, at least, stood in
    queues: one alone may be jitter.
    ``received``: bits per second on the wire that arrived, ``drained``: that arrived while a
    queue stood, which is the bottleneck's rate; None where too few packets tell. ``chunk``: the
    rate at which the fastest chunk came, of its size and what it took longer than the smallest
    packet; None without chunks.
    """

    rtt: float | None = None
    loss: float = 0.0
    counted: int = 0
    queue: float = 0.0
    received: float | None = None
    drained: float | None = None
    chunk: float | None = None


@dataclass(frozen=True, slots=True)
class _Departure:
    time: float
    size: int
    number: int  # of motion packets so far


class PathMonitor:
    """Remembers what was sent and makes reports into a ``PathState``. Time is the caller's."""

    def __init__(self) -> None:
        self.state = PathState()
        self.reported_at: float | None = None
        self._departures: OrderedDict[tuple[bool, int], _Departure] = OrderedDict()
        self._motion = 0
        self._clock: int | None = None
        self._unwrapped = 0.0
        self._best: deque[tuple[float, float]] = deque()
        self._counted: deque[tuple[int, int]] = deque()
        self._seen = (0, 0)  # motion packets sent and received up to the last report
        self._newest = 0.0

    def motion(self, tick: int, size: int, now: float) -> None:
        """A motion packet of ``size`` bytes, first frame at ``tick``, leaves."""
        self._motion += 1
        self._left((False, tick & 0xFFFF), size, now)

    def chunk(self, sequence: int, index: int, size: int, now: float) -> None:
        """A chunk of ``size`` bytes leaves."""
        self._left((True, sequence << 8 | index), size, now)

    def take(self, report: PathReport, now: float) -> PathState:
        """Take a report and return what it shows."""
        clock = self._unwrap(report.clock)
        found = [
            (departure, clock - arrival.age / 1000, arrival)
            for arrival in report.arrivals
            if (departure := self._departures.get((arrival.chunk, arrival.id))) is not None
        ]
        queues = [self._queue(arrived - left.time, now) for left, arrived, _ in found]
        rtt = self.state.rtt
        if found:
            newest, _, arrival = found[-1]
            rtt = max(now - newest.time - arrival.age / 1000, 0.0)
        self._count(report, now)
        sent = sum(step for step, _ in self._counted)
        lost = sum(lost for _, lost in self._counted)
        queue = min([self._newest, *queues][-2:])
        self._newest = queues[-1] if queues else self._newest
        chunks = [
            8 * left.size / max(queue, _SHORT)
            for queue, (left, _, arrival) in zip(queues, found, strict=True)
            if arrival.chunk
        ]
        arrivals = [(arrived, left.size) for left, arrived, _ in found]
        self.state = PathState(
            rtt=rtt,
            loss=lost / sent if sent else 0.0,
            counted=sent,
            queue=queue,
            received=_rate(arrivals, [True] * len(arrivals)),
            drained=_rate(arrivals, [queue > _STANDING for queue in queues]),
            chunk=max(chunks, default=None),
        )
        self.reported_at = now
        return self.state

    def known(self, arrival: Arrival) -> bool:
        """Return whether the arrival is of something that we sent."""
        return (arrival.chunk, arrival.id) in self._departures

    def _left(self, key: tuple[bool, int], size: int, now: float) -> None:
        self._departures.pop(key, None)
        self._departures[key] = _Departure(now, size + MESSAGE_OVERHEAD, self._motion)
        if len(self._departures) > _REMEMBERED:
            self._departures.popitem(last=False)

    def _unwrap(self, clock: int) -> float:
        """Return the receiver's clock in seconds since its first report, without its wraps."""
        if self._clock is not None:
            self._unwrapped += ((clock - self._clock + _HALF) % _WHOLE - _HALF) / 1000
        self._clock = clock
        return self._unwrapped

    def _queue(self, transit: float, now: float) -> float:
        """Return the seconds by which ``transit`` is longer than the path's own."""
        while self._best and self._best[-1][1] >= transit:
            self._best.pop()
        self._best.append((now, transit))
        while self._best[0][0] < now - MEMORY:
            self._best.popleft()
        return transit - self._best[0][1]

    def _count(self, report: PathReport, now: float) -> None:
        """Count the motion packets lost since the last report."""
        came = [
            departure.number
            for arrival in report.arrivals
            if not arrival.chunk
            and (departure := self._departures.get((False, arrival.id))) is not None
        ]
        sent_before, received_before = self._seen
        if came:
            sent = max(came)
        else:
            # Nothing came: what left long enough ago is lost.
            patience = 2 * (self.state.rtt or 0.1) + 0.1
            old = [d.number for d in self._departures.values() if d.time < now - patience]
            sent = max(old, default=sent_before)
        fresh = (report.received - received_before) % 2**16
        step = sent - sent_before
        if step <= 0 or fresh > step + _LOSS_PACKETS:
            return
        self._seen = sent, received_before + fresh
        self._counted.append((step, max(step - fresh, 0)))
        while sum(step for step, _ in self._counted) > _LOSS_PACKETS and len(self._counted) > 1:
            self._counted.popleft()


def _rate(arrivals: list[tuple[float, int]], counts: list[bool]) -> float | None:
    """Return the bits per second of the arrivals that count, each over the gap before it."""
    bits = seconds = 0.0
    for place in range(1, len(arrivals)):
        if counts[place]:
            bits += 8 * arrivals[place][1]
            seconds += max(arrivals[place][0] - arrivals[place - 1][0], 0.0)
    # Ages are whole milliseconds, so a shorter time says nothing.
    return bits / seconds if seconds >= 0.01 else None
