# SPDX-License-Identifier: Apache-2.0
"""One direction of an impaired network path, without sockets and without a clock of its own.

A datagram given to ``VirtualLink.send`` is lost, refused by a full queue, or handed back by
``due`` when its time has come. Whoever owns the link asks ``next_due`` when to look again.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from talkcodec.errors import InputError

#: What IPv4 and UDP add to each datagram, in bytes.
DATAGRAM_OVERHEAD = 28

#: Datagrams a link holds at most, whatever its rate: tail drop beyond.
MAX_HELD = 4096


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """What a path does to datagrams; the same in both directions.

    ``loss``: probability, 0 to 1, each datagram on its own. ``rtt``: seconds, half of it each
    way. ``jitter``: up to so many seconds more, uniform, so datagrams may overtake each other.
    ``rate``: bits per second on the wire, headers included, or None for no limit. ``queue``:
    seconds of waiting in front of the rate limit before the newest datagram is dropped.
    """

    loss: float = 0.0
    rtt: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    queue: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise InputError(f"expected a loss between 0 and 1, found {self.loss}")
        for name in ("rtt", "jitter", "queue"):
            value = getattr(self, name)
            if not 0 <= value <= 60:
                raise InputError(f"expected {name} between 0 and 60 s, found {value} s")
        if self.rate is not None and not 1000 <= self.rate <= 1e11:
            raise InputError(f"expected a rate of 1 kbit/s or more, found {self.rate} bit/s")

    @property
    def transparent(self) -> bool:
        """True when the link changes nothing."""
        return self.loss == 0 and self.rtt == 0 and self.jitter == 0 and self.rate is None


def parse_link(text: str) -> LinkConfig:
    """Read ``loss=0.3,rtt=50,jitter=5,rate=40k,queue=300``: times in ms, rate in bit/s (k, M).

    Raises ``InputError`` for a name or a number that it does not know.
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, number = part.partition("=")
        if not separator or name not in _UNITS:
            raise InputError(f"expected {'|'.join(_UNITS)}=NUMBER in a link, found {part!r}")
        if name in values:
            raise InputError(f"expected {name} once in a link, found it twice")
        values[name] = _number(number, part) * _UNITS[name]
    return LinkConfig(**values)


_UNITS = {"loss": 1.0, "rtt": 1e-3, "jitter": 1e-3, "rate": 1.0, "queue": 1e-3}
_SUFFIXES = {"k": 1e3, "M": 1e6}


def _number(text: str, part: str) -> float:
    factor = _SUFFIXES.get(text[-1:], 1.0)
    try:
        return float(text[:-1] if factor != 1.0 else text) * factor
    except ValueError:
        raise InputError(f"expected a number in a link, found {part!r}") from None


@dataclass(slots=True)
class LinkCounts:
    """Datagrams and wire bytes (payload + IPv4 + UDP) that met one direction of a path."""

    offered: int = 0
    offered_bytes: int = 0
    delivered: int = 0
    lost: int = 0
    overflowed: int = 0


class VirtualLink:
    """One direction of a path. Full queue: the newest datagram is dropped and counted."""

    def __init__(self, config: LinkConfig, rng: random.Random) -> None:
        self.config = config
        self.counts = LinkCounts()
        self._rng = rng
        self._held: list[tuple[float, int, bytes]] = []
        self._serial = 0
        self._free_at = 0.0

    def send(self, datagram: bytes, now: float) -> None:
        """Offer ``datagram`` to the path at time ``now`` (seconds)."""
        size = len(datagram) + DATAGRAM_OVERHEAD
        self.counts.offered += 1
        self.counts.offered_bytes += size
        # A datagram that the path loses has still used the bottleneck, as it would on air.
        leaves = self._leaves(size, now)
        if leaves is None or len(self._held) >= MAX_HELD:
            self.counts.overflowed += 1
            return
        if self._rng.random() < self.config.loss:
            self.counts.lost += 1
            return
        arrives = leaves + self.config.rtt / 2
        if self.config.jitter:
            arrives += self._rng.uniform(0, self.config.jitter)
        heapq.heappush(self._held, (arrives, self._serial, datagram))
        self._serial += 1

    def due(self, now: float) -> list[bytes]:
        """Return, in order of arrival, the datagrams that have reached the other end."""
        arrived = []
        while self._held and self._held[0][0] <= now:
            arrived.append(heapq.heappop(self._held)[2])
        self.counts.delivered += len(arrived)
        return arrived

    def next_due(self) -> float | None:
        """Return when ``due`` will have something, or None while nothing is under way."""
        return self._held[0][0] if self._held else None

    def _leaves(self, size: int, now: float) -> float | None:
        """Return when the last bit passes the rate limit, or None if the queue is full."""
        if self.config.rate is None:
            return now
        start = max(now, self._free_at)
        if start - now > self.config.queue:
            return None
        self._free_at = start + size * 8 / self.config.rate
        return self._free_at
