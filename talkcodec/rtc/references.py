# SPDX-License-Identifier: Apache-2.0
"""How a reference gets across a path that loses datagrams: paced chunks, repaired on request.

A reliable channel would do it too, but on the association that also carries the motion its
retransmissions hold the motion back by up to seconds. Here a lost chunk costs only itself.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

#: Bytes that DTLS, SCTP, UDP and IPv4 add to a message of a data channel.
MESSAGE_OVERHEAD = 95

# A wait of more than this is a queue of our own making; how fast the pace follows.
_LONG = 0.2
_SLOWER, _FASTER = 0.6, 1.25

# A chunk is missing when nothing came for this many intervals between chunks.
_PATIENT = 2.5


@dataclass(frozen=True, slots=True)
class PaceConfig:
    """How fast chunks leave.

    ``rate``: bits per second on the wire at first; ``slowest`` and ``fastest``: where adaptation
    ends. ``chunk``: bytes of a chunk at most; on a path of 40 kbit/s motion waits 0.14 s behind
    one of 600 bytes and 0.22 s behind one of 1000. ``kept``: references held for repair, the oldest
    is forgotten beyond.
    """

    rate: float = 64_000.0
    slowest: float = 24_000.0
    fastest: float = 256_000.0
    chunk: int = 600
    kept: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.slowest <= self.rate <= self.fastest or not 50 <= self.chunk <= 1000:
            raise ValueError(f"expected slowest <= rate <= fastest, chunk 50 to 1000, found {self}")


class ReferenceOutbox:
    """Chunks on their way out, evenly paced; repairs go before chunks never sent."""

    def __init__(self, config: PaceConfig | None = None) -> None:
        self._config = config or PaceConfig()
        self.rate = self._config.rate
        self._chunks: OrderedDict[int, list[bytes]] = OrderedDict()
        self._queue: deque[tuple[int, int]] = deque()
        self._free_at = float("-inf")
        self.repaired = 0

    def add(self, sequence: int, chunks: Sequence[bytes]) -> None:
        """Queue all ``chunks`` of the reference ``sequence`` (0 to 255)."""
        self._forget(sequence)
        while len(self._chunks) >= self._config.kept:
            self._forget(next(iter(self._chunks)))
        self._chunks[sequence] = list(chunks)
        self._queue.extend((sequence, index) for index in range(len(chunks)))

    def repair(self, sequence: int, indexes: Sequence[int] | None) -> bool:
        """Queue the chunks that the other side misses (None: all); False if they are gone."""
        chunks = self._chunks.get(sequence)
        if chunks is None:
            return False
        asked = range(len(chunks)) if indexes is None else indexes
        queued = set(self._queue)
        again = [
            (sequence, index)
            for index in asked
            if 0 <= index < len(chunks) and (sequence, index) not in queued
        ]
        self.repaired += len(again)
        self._queue.extendleft(reversed(again))
        return True

    def adapt(self, queued: float) -> None:
        """Take ``queued``, the seconds that a chunk waited on the path, and change the rate.

        A chunk that waited long filled the queue in front of the bottleneck, where motion waits
        as well; otherwise there is room. Loss says little on the paths we care about.
        """
        factor = _SLOWER if queued > _LONG else _FASTER
        self.rate = min(max(self.rate * factor, self._config.slowest), self._config.fastest)

    def due(self, now: float) -> bytes | None:
        """Return the next chunk if the pace allows one at ``now`` (seconds)."""
        if not self._queue or now < self._free_at:
            return None
        sequence, index = self._queue.popleft()
        chunk = self._chunks[sequence][index]
        self._free_at = now + (len(chunk) + MESSAGE_OVERHEAD) * 8 / self.rate
        return chunk

    def next_due(self) -> float | None:
        """Return when the pace allows the next chunk, or None while nothing is queued."""
        return self._free_at if self._queue else None

    def _forget(self, sequence: int) -> None:
        if self._chunks.pop(sequence, None) is not None:
            self._queue = deque(entry for entry in self._queue if entry[0] != sequence)


@dataclass(frozen=True, slots=True)
class RepairConfig:
    """Seconds: ``hole`` after a chunk that overtook another (reordering is shorter than this),
    ``tail`` after the last chunk heard, when only later ones are missing, ``retry`` between
    requests for the same chunk. ``attempts``: requests before a reference is given up.
    ``pending``: references under repair at most, the oldest is given up beyond.
    """

    hole: float = 0.02
    tail: float = 0.25
    retry: float = 0.3
    attempts: int = 20
    pending: int = 4


@dataclass(slots=True)
class _Pending:
    due: float
    missing: tuple[int, ...] | None
    heard_at: float | None = None
    interval: float = 0.0
    attempts: int = 0
    asked: float = float("-inf")


class RepairSchedule:
    """Decides when to ask for which missing chunk."""

    def __init__(self, config: RepairConfig | None = None) -> None:
        self._config = config or RepairConfig()
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self.given_up = 0

    def heard(self, sequence: int, index: int, missing: Sequence[int], now: float) -> None:
        """A chunk of an incomplete reference came; ``missing`` are the indexes still wanted."""
        entry = self._entry(sequence, now)
        if entry.heard_at is not None:
            entry.interval = max(now - entry.heard_at, entry.interval / 2)
        entry.heard_at = now
        # The sender paces chunks in order, so a hole below the newest index is a loss.
        hole = any(wanted < index for wanted in missing)
        # A slow pace is no loss: the tail may take as long as what came before it.
        tail = max(self._config.tail, _PATIENT * entry.interval)
        wait = self._config.hole if hole else tail
        entry.missing = tuple(missing)
        entry.due = max(now + wait, entry.asked + self._config.retry)

    def wanted(self, sequence: int, now: float) -> None:
        """Something needs a reference of which nothing has been heard."""
        if sequence not in self._pending:
            self._entry(sequence, now).due = now + self._config.tail

    def complete(self, sequence: int) -> None:
        """Ask no more for ``sequence``."""
        self._pending.pop(sequence, None)

    def due(self, now: float) -> list[tuple[int, tuple[int, ...] | None]]:
        """Return (sequence, missing indexes or None for all) of every request to send now."""
        requests = []
        for sequence, entry in list(self._pending.items()):
            if entry.due > now:
                continue
            if entry.attempts >= self._config.attempts:
                self._give_up(sequence)
                continue
            entry.attempts += 1
            entry.asked = now
            entry.due = now + self._config.retry
            requests.append((sequence, entry.missing))
        return requests

    def next_due(self) -> float | None:
        """Return when ``due`` has something to do, or None while nothing is missing."""
        return min((entry.due for entry in self._pending.values()), default=None)

    def _entry(self, sequence: int, now: float) -> _Pending:
        if sequence not in self._pending:
            while len(self._pending) >= self._config.pending:
                self._give_up(next(iter(self._pending)))
            self._pending[sequence] = _Pending(now + self._config.tail, None)
        return self._pending[sequence]

    def _give_up(self, sequence: int) -> None:
        del self._pending[sequence]
        self.given_up += 1
