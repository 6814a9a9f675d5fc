# SPDX-License-Identifier: Apache-2.0
"""What the sender knows of the path: loss, round trip, queue and rate, from the reports.

The receiver lists what arrived when; only the sender knows when it left. A packet's *transit* is
its arrival on the receiver's clock minus its departure on ours; the smallest of the last seconds
is the path without a queue, and what a packet takes longer it stood in one. The clocks' unknown
difference drops out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from talkcodec.bitstream.report import PathReport

#: Bytes that DTLS, SCTP, UDP and IPv4 add to a message of a data channel, and of the answer that
#: aiortc gives to each. Measured: tests/bench/test_rates.py.
MESSAGE_OVERHEAD, MESSAGE_ANSWER = 95, 93

#: A transit is the path's own while it is the smallest of so many seconds.
MEMORY = 10.0

#: Packets over which loss is counted, at most.
_LOSS_PACKETS = 100

#: Seconds below which a time says nothing: ages are whole ms, and event loops are no better.
_SHORT = 0.005

#: Bytes by which a packet is larger than the fastest one to tell the bottleneck's rate.
_LARGER = 80

#: Acknowledgements remembered.
_ANSWERS = 64

#: Departures remembered; an arrival that is older than all of these teaches nothing.
_REMEMBERED = 512

_HALF, _WHOLE = 1 << 31, 1 << 32


@dataclass(frozen=True, slots=True)
class PathState:
    """The path as the last report showed it.

    ``rtt``: seconds, or None before the first. ``loss``: of motion packets, 0 to 1. ``counted``:
    packets that this is out of. ``newest``: seconds that the newest packet stood in queues;
    ``queue``: that the newest two did at least, for one alone may be jitter. ``received``: bits
    per second on the wire that arrived; ``drained``: at which packets came that had to wait for
    one another, which is the bottleneck's rate; None where too few packets tell. ``alone``: of
    every large packet, the rate at which it came if it was alone on the path, and less than the
    bottleneck's otherwise.
    """

    rtt: float | None = None
    loss: float = 0.0
    counted: int = 0
    queue: float = 0.0
    newest: float = 0.0
    received: float | None = None
    drained: float | None = None
    alone: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Departure:
    time: float
    size: int
    number: int  # of motion packets so far


@dataclass(frozen=True, slots=True)
class _Passage:
    left: _Departure
    arrived: float  # on the receiver's clock
    age: float

    @property
    def transit(self) -> float:
        return self.arrived - self.left.time


class PathMonitor:
    """Remembers what was sent and makes reports into a ``PathState``. Time is the caller's."""

    def __init__(self) -> None:
        self.state = PathState()
        self.reported_at: float | None = None
        self._departures: OrderedDict[tuple[bool, int], _Departure] = OrderedDict()
        self._motion = 0
        self._clock: int | None = None
        self._unwrapped = 0.0
        self._best: deque[tuple[float, float, int]] = deque(maxlen=_REMEMBERED)
        self._counted: deque[tuple[int, int]] = deque()
        self._seen = (0, 0)  # motion packets sent and received up to the last report
        self._newest = 0.0
        self._shortest: tuple[float, int] | None = None
        self._answers: deque[float] = deque(maxlen=_ANSWERS)

    def greeted(self, rtt: float, size: int) -> None:
        """A first exchange of messages, ``size`` bytes both together, took ``rtt`` seconds."""
        self._shortest = rtt, size + 2 * MESSAGE_OVERHEAD

    def answered(self, now: float) -> None:
        """A message of the receiver came: the transport acknowledges it, ahead of what follows."""
        self._answers.append(now)

    def motion(self, tick: int, size: int, now: float) -> None:
        """A motion packet of ``size`` bytes, first frame at ``tick``, leaves."""
        self._motion += 1
        self._left((False, tick & 0xFFFF), size, now)

    def chunk(self, sequence: int, index: int, size: int, now: float) -> None:
        """A chunk of ``size`` bytes leaves."""
        self._left((True, sequence << 8 | index), size, now)

    def take(self, report: PathReport, now: float, rate: float = 1e9) -> PathState:
        """Take a report and return what it shows; ``rate``: bits per second that the bottleneck
        is thought to carry.
        """
        clock = self._unwrap(report.clock)
        found = [
            _Passage(departure, clock - arrival.age / 1000, arrival.age / 1000)
            for arrival in report.arrivals
            if (departure := self._departures.get((arrival.chunk, arrival.id))) is not None
        ]
        rtt = self.state.rtt
        if found:
            rtt = max(now - found[-1].left.time - found[-1].age, 0.0)
        for passage in found:
            self._note(passage, now)
        longer = [passage.transit - self._best[0][1] for passage in found]
        # What a packet is larger it takes longer on the bottleneck, which is no queue.
        larger = [8 * (passage.left.size - self._best[0][2]) for passage in found]
        queues = [
            max(time - max(bits, 0) / rate, 0.0) for time, bits in zip(longer, larger, strict=True)
        ]
        queue = min([self._newest, *queues][-2:])
        self._newest = queues[-1] if queues else self._newest
        self._count(report, now)
        sent = sum(step for step, _ in self._counted)
        lost = sum(lost for _, lost in self._counted)
        self.state = PathState(
            rtt=rtt,
            loss=lost / sent if sent else 0.0,
            counted=sent,
            queue=queue,
            newest=self._newest,
            received=_received(found),
            drained=self._drained(found),
            alone=tuple(self._alone(report, found, longer, larger, now)),
        )
        self.reported_at = now
        return self.state

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

    def _note(self, passage: _Passage, now: float) -> None:
        """Remember a transit while it is the smallest, which is the path's own."""
        transit = passage.transit
        while self._best and self._best[-1][1] >= transit:
            self._best.pop()
        self._best.append((now, transit, passage.left.size))
        while self._best[0][0] < now - MEMORY:
            self._best.popleft()

    def _alone(
        self,
        report: PathReport,
        found: list[_Passage],
        longer: list[float],
        larger: list[int],
        now: float,
    ) -> Iterator[float]:
        """Yield the rates at which large packets came, as if nothing else had been on the path."""
        if self._motion:
            for time, bits in zip(longer, larger, strict=True):
                if bits > 8 * _LARGER:
                    yield bits / max(time, _SHORT)
        elif found and self._shortest is not None and found[-1].age < _SHORT:
            # Nothing small has passed yet but the greetings, which were answered at once as well.
            time, size = self._shortest
            time = now - found[-1].left.time - found[-1].age - time
            size = found[-1].left.size + len(report.serialize()) + MESSAGE_OVERHEAD - size
            if size > _LARGER:
                yield 8 * size / max(time, _SHORT)

    def _drained(self, found: list[_Passage]) -> float | None:
        """Return the rate at which packets came that had to wait for the one before them."""
        if not found:
            return None
        own = self._best[0][1]
        rates = sorted(
            8 * (second.left.size + self._between(first, second)) / (second.arrived - first.arrived)
            for first, second in pairwise(found)
            if first.arrived - second.left.time > own + _SHORT
            and second.arrived - first.arrived >= 2 * _SHORT
        )
        return rates[len(rates) * 3 // 4] if rates else None

    def _between(self, first: _Passage, second: _Passage) -> int:
        """Return the bytes of acknowledgements that left between two packets."""
        within = [t for t in self._answers if first.left.time < t <= second.left.time]
        return MESSAGE_ANSWER * len(within)

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


def _received(found: list[_Passage]) -> float | None:
    """Return the bits per second of the packets after the first."""
    seconds = found[-1].arrived - found[0].arrived if found else 0.0
    # Ages are whole milliseconds, so a shorter time says nothing.
    if seconds < 2 * _SHORT:
        return None
    return 8 * sum(passage.left.size for passage in found[1:]) / seconds
