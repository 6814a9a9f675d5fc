# SPDX-License-Identifier: Apache-2.0
"""How a reference gets across a path that loses datagrams: parity, pace, repair on request.

A reliable channel would do it too, but on the association that also carries the motion its
retransmissions hold the motion back by up to seconds. Here a lost chunk costs only itself, parity
replaces the usual number of them without a round trip, and never is more under way than motion
may wait for.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

from talkcodec.bitstream.chunks import CHUNK_HEADER, Chunk, Missing
from talkcodec.bitstream.erasure import MAX_PARITY
from talkcodec.rtc.path import MESSAGE_ANSWER, MESSAGE_OVERHEAD

#: Part of the references that may need a repair, and loss that is assumed until it is known.
REPAIRED, LOSS = 0.005, 0.03

# Parity is at most this part of the data: beyond, repairs cost less.
_MOST_PARITY = 0.6

#: Seconds that a chunk may take on the bottleneck: at least, and at most.
SHORTEST, LONGEST = 0.05, 0.11

#: Seconds that motion may have to wait for a chunk that left before it.
SLACK = 0.01

#: Seconds by which motion may be later than it was expected before chunks leave without it.
GRACE = 0.04

# What is to come is missing when nothing came for so many of the longest of the latest intervals
# between chunks, after those that may get lost, so many of which count at most.
_PATIENT, _INTERVALS, _SPARED = 1.5, 8, 3

# Seconds between chunks that are due to a slow pace, at most: beyond, some were lost.
_SLOWEST = 0.6

# Seconds that repairs take to come that are due to the path, at most, and by what factor of them
# a request waits before it is repeated.
_LONGEST_REPAIR, _LATER = 2.0, 1.5


@dataclass(frozen=True, slots=True)
class PaceConfig:
    """How chunks leave.

    ``rate``: bits per second on the wire at first; ``slowest`` and ``fastest``: bounds of what
    the rate control asks for. ``chunk``: bytes of a chunk at most. ``ahead``: seconds that chunks
    under way take whose arrival was not reported, at most, and ``window``: bytes on the wire of
    them, while it is not known what the path carries; should it become slow at this very moment,
    motion waits behind them. ``patience``: seconds on top of the time that answers take after
    which they are thought lost, and as much longer each time that this happens in a row;
    ``unknown``: that time at first. ``kept``: references held for repair, the oldest is
    forgotten beyond.
    """

    rate: float = 64_000.0
    slowest: float = 1_500.0
    fastest: float = 256_000.0
    chunk: int = 450
    window: int = 1000
    ahead: float = 0.42
    patience: float = 0.12
    unknown: float = 0.6
    kept: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.slowest <= self.rate <= self.fastest or not 50 <= self.chunk <= 1000:
            raise ValueError(f"expected slowest <= rate <= fastest, chunk 50 to 1000, found {self}")


def parity_for(count: int, loss: float) -> int:
    """Return the pieces of parity with which ``count`` of data arrive despite ``loss`` (0 to 1).

    Chosen so that one in two hundred needs a repair: what turns out not to be needed is hardly
    ever sent. Never more than 16 or 60 % of the data.
    """
    most = min(MAX_PARITY, max(1, round(_MOST_PARITY * count)))
    for parity in range(most):
        if _fails(count, parity, loss) <= REPAIRED:
            return parity
    return most


def _fails(count: int, parity: int, loss: float) -> float:
    """Return the probability that more than ``parity`` of ``count + parity`` are lost."""
    total = count + parity
    return 1 - sum(
        comb(total, lost) * loss**lost * (1 - loss) ** (total - lost) for lost in range(parity + 1)
    )


def chunk_size(rate: float, interval: float, motion: float, most: int) -> int:
    """Return the bytes of a chunk that fits between two motion packets.

    ``rate``: bits per second on the wire; ``interval``: seconds between motion packets;
    ``motion``: bytes of one on the wire; ``most``: bytes of a chunk at most.
    """
    # Every other chunk is answered by a report, whose acknowledgement is under way as well.
    free = min(max(interval - 8 * (motion + MESSAGE_ANSWER / 2) / rate, SHORTEST), LONGEST)
    affordable = int(rate * free / 8) - MESSAGE_OVERHEAD
    return max(min(affordable, most), min(150, most))


class ReferenceOutbox:
    """Chunks on their way out, between the motion packets, repairs before chunks never sent.

    It keeps the time at which the bottleneck will have sent all that left, acknowledgements
    included, and when the next motion packet is to be expected, so that a chunk leaves when it can
    be through before that.
    ``hold_until``: set while motion needs the whole path.
    """

    def __init__(self, config: PaceConfig | None = None) -> None:
        self._config = config or PaceConfig()
        self.rate = self._config.rate
        self.known = False
        self.hold_until = float("-inf")
        self.repaired = 0
        self._chunks: OrderedDict[int, list[Chunk]] = OrderedDict()
        self._queue: deque[tuple[int, int]] = deque()
        self._free_at = self._now = float("-inf")
        self._motion_left, self._interval, self._motion_time = float("-inf"), 0.0, 0.0
        self._under_way: OrderedDict[tuple[int, int], tuple[float, int]] = OrderedDict()
        self._answer_time = self._config.unknown
        self._lost = 0
        self._asked: tuple[int, int] | None = None

    def set_rate(self, rate: float, *, known: bool = False) -> None:
        """Fill ``rate`` bits per second, motion included, within the configured bounds.

        ``known``: that is what the path was measured to carry.
        """
        self.known = known
        self.rate = min(max(rate, self._config.slowest), self._config.fastest)

    def motion(self, size: int, now: float) -> None:
        """A motion packet of ``size`` bytes leaves."""
        size += MESSAGE_OVERHEAD
        self._occupy(size, now)
        self._motion_left, self._motion_time = now, 8 * size / self.rate

    def expect(self, interval: float) -> None:
        """Motion packets come every ``interval`` seconds from now on."""
        self._interval = interval

    def answered(self, seconds: float, now: float) -> None:
        """A message came; for ``seconds`` its acknowledgement occupies the bottleneck."""
        self._free_at = max(self._free_at, now) + seconds

    def add(self, sequence: int, chunks: Sequence[Chunk]) -> None:
        """Queue all ``chunks`` of the reference ``sequence`` (0 to 255)."""
        self._forget(sequence)
        while len(self._chunks) >= self._config.kept:
            self._forget(next(iter(self._chunks)))
        self._chunks[sequence] = list(chunks)
        self._queue.extend((sequence, index) for index in range(len(chunks)))

    def repair(self, sequence: int, indexes: Sequence[int] | None, now: float) -> bool:
        """Queue the chunks that the other side misses (None: all); False if they are gone.

        Those under way are not sent again yet. What it does not miss before the last of them came.
        """
        chunks = self._chunks.get(sequence)
        if chunks is None:
            return False
        asked = range(chunks[0].count) if indexes is None else indexes
        came = set(range(max(indexes))) - set(indexes) if indexes else set[int]()
        for index in [i for number, i in self._under_way if number == sequence and i in came]:
            self.arrived(sequence, index, now)
        self._expire(now)
        coming = self._under_way.keys() | set(self._queue)
        again = [
            (sequence, index)
            for index in asked
            if index < len(chunks) and (sequence, index) not in coming
        ]
        self.repaired += len(again)
        self._queue.extendleft(reversed(again))
        return True

    def settled(self, sequence: int) -> None:
        """The reference ``sequence`` has arrived: what is left of it need not be sent."""
        self._queue = deque(entry for entry in self._queue if entry[0] != sequence)
        for entry in [entry for entry in self._under_way if entry[0] == sequence]:
            del self._under_way[entry]

    def arrived(self, sequence: int, index: int, now: float) -> None:
        """A chunk was reported to have arrived, as it could have been at ``now`` at the earliest;
        those sent before it are under way no longer.
        """
        entry = self._under_way.get((sequence, index))
        if entry is None:
            return
        self._lost, self._answer_time = 0, max(now - entry[0], 0.0)
        while self._under_way.popitem(last=False)[0] != (sequence, index):
            pass

    def due(self, now: float) -> Chunk | None:
        """Return the next chunk if one may leave at ``now`` (seconds)."""
        self._now = now
        when = self.next_due()
        if when is None or now < when:
            return None
        self._expire(now)
        entry = self._queue.popleft()
        size = self._size(entry)
        self._occupy(size, now)
        self._under_way.pop(entry, None)
        self._under_way[entry] = now, size
        # After the last one an answer tells, should the acknowledgement have got lost.
        answer = not self._queue or self._asks(self._size(self._queue[0]))
        if answer:
            self._asked = entry
        return replace(self._chunks[entry[0]][entry[1]], answer=answer)

    def next_due(self) -> float | None:
        """Return when the next chunk may leave, or None while none is to be sent."""
        if not self._queue:
            return None
        size = self._size(self._queue[0])
        when = max(self._free_at, self.hold_until, self._now)
        if not self._fits(size):
            oldest = next(iter(self._under_way.values()))[0]
            when = max(when, oldest + self._patience())
        # What would make the next motion packet wait leaves after it; what is too long for the
        # time between two of them, when it makes it wait least.
        long = 8 * size / self.rate
        wait = SLACK + max(self._motion_time + long - self._interval, 0.0)
        motion = self._motion_left + self._interval
        blocks = when < motion + GRACE and motion + wait < when + long
        return motion + GRACE if blocks else when

    def _asks(self, size: int) -> bool:
        """Return whether the chunk that left last is to be answered, before one of ``size``.

        Not only the one that fills the window, but the one before it, so that the answer comes
        before the window is full.
        """
        return not self._fits(size) if self._asked in self._under_way else not self._fits(2 * size)

    def _occupy(self, size: int, now: float) -> None:
        self._free_at = max(self._free_at, now) + 8 * size / self.rate

    def _fits(self, size: int) -> bool:
        under_way = sum(size for _, size in self._under_way.values())
        window = self._config.ahead * self.rate / 8
        if not self.known:
            window = min(window, self._config.window)
        return not self._under_way or under_way + size <= window

    def _expire(self, now: float) -> None:
        while self._under_way:
            sent, _ = next(iter(self._under_way.values()))
            if now < sent + self._patience():
                return
            self._under_way.popitem(last=False)
            self._lost = min(self._lost + 1, 3)

    def _patience(self) -> float:
        return self._answer_time + self._config.patience * (1 + self._lost)

    def _size(self, entry: tuple[int, int]) -> int:
        chunk = self._chunks[entry[0]][entry[1]]
        return len(chunk.payload) + CHUNK_HEADER + MESSAGE_OVERHEAD

    def _forget(self, sequence: int) -> None:
        if self._chunks.pop(sequence, None) is not None:
            self.settled(sequence)


@dataclass(frozen=True, slots=True)
class RepairConfig:
    """Seconds: ``hole`` after the chunk with which it became certain that parity will not do
    (reordering is shorter than this), ``tail`` after the last chunk heard, when later ones might
    still come, at least, and ``least`` where their pace is known, ``retry`` between requests for
    the same chunk, at least. ``attempts``: requests before a reference is given up. ``pending``:
    references under repair at most, the oldest is given up beyond.
    """

    hole: float = 0.02
    tail: float = 0.25
    least: float = 0.15
    retry: float = 0.3
    attempts: int = 20
    pending: int = 4


@dataclass(slots=True)
class _Pending:
    due: float
    missing: Missing | None
    heard_at: float | None = None
    attempts: int = 0
    asked: float = float("-inf")


class RepairSchedule:
    """Decides when to ask for which missing chunk.

    A request costs a narrow path as much as a small chunk. So what the sender has yet to send by
    its pace, which is learned from what came, also of earlier references, is not asked for; nor
    again what may be on its way, for as long as repairs took before: round trip and queues.
    """

    def __init__(self, config: RepairConfig | None = None) -> None:
        self._config = config or RepairConfig()
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._repair_time = 0.0
        self.given_up = 0

    def heard(self, sequence: int, missing: Missing, now: float) -> None:
        """A chunk of an unfinished reference came, which still lacks ``missing``."""
        entry = self._entry(sequence, now)
        self._learn(entry, missing, now)
        entry.heard_at = now
        # The sender paces chunks in order, so what is to come is known: will it be enough?
        hopeless = missing.needed > missing.coming
        tail = self._tail(max(missing.coming - missing.needed, 0))
        wait = self._config.hole if hopeless and not entry.attempts else tail
        entry.missing = missing
        entry.due = max(now + wait, entry.asked + self._retry())

    def wanted(self, sequence: int, now: float) -> None:
        """Something needs a reference of which nothing has been heard."""
        if sequence not in self._pending:
            self._entry(sequence, now).due = now + self._config.tail

    def complete(self, sequence: int) -> None:
        """Ask no more for ``sequence``."""
        self._pending.pop(sequence, None)

    def due(self, now: float) -> list[tuple[int, tuple[int, ...] | None]]:
        """Return (sequence, chunk indexes or None for all) of every request to send now."""
        requests = []
        for sequence, entry in list(self._pending.items()):
            if entry.due > now:
                continue
            if entry.attempts >= self._config.attempts:
                self._give_up(sequence)
                continue
            entry.attempts += 1
            entry.asked = now
            entry.due = now + max(self._retry(), self._tail())
            requests.append((sequence, _wish(entry.missing, spare=entry.attempts > 1)))
        return requests

    def next_due(self) -> float | None:
        """Return when ``due`` has something to do, or None while nothing is missing."""
        return min((entry.due for entry in self._pending.values()), default=None)

    def _learn(self, entry: _Pending, missing: Missing, now: float) -> None:
        """Note how long a chunk took after the one before it, or after it was asked for."""
        before = entry.missing
        if before is None or entry.heard_at is None or missing.needed == before.needed:
            return
        step = before.coming - missing.coming
        if step > 0:
            self._intervals.append(min((now - entry.heard_at) / step, _SLOWEST))
        elif entry.heard_at < entry.asked:
            self._repair_time = min(now - entry.asked, _LONGEST_REPAIR)

    def _tail(self, spared: int = 0) -> float:
        """Return the seconds after which of what was to come more is missing than ``spared``."""
        known = len(self._intervals) == _INTERVALS
        longest = max(self._intervals, default=0.0)
        least = self._config.least if known else self._config.tail
        return max(least, (_PATIENT + min(spared, _SPARED)) * longest)

    def _retry(self) -> float:
        return max(self._config.retry, _LATER * self._repair_time)

    def _entry(self, sequence: int, now: float) -> _Pending:
        if sequence not in self._pending:
            while len(self._pending) >= self._config.pending:
                self._give_up(next(iter(self._pending)))
            self._pending[sequence] = _Pending(now + self._config.tail, None)
        return self._pending[sequence]

    def _give_up(self, sequence: int) -> None:
        del self._pending[sequence]
        self.given_up += 1


def _wish(missing: Missing | None, *, spare: bool) -> tuple[int, ...] | None:
    """Return what to ask for: as many chunks as are needed, and some that may get lost."""
    if missing is None:
        return None
    return missing.absent[: missing.needed + missing.needed // 3 + spare]
