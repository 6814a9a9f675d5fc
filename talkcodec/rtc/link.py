# SPDX-License-Identifier: Apache-2.0
"""One direction of an impaired network path, without sockets and without a clock of its own.

A datagram given to ``VirtualLink.send`` is lost, refused by a full queue, or handed back by
``due`` when its time has come. Whoever owns the link asks ``next_due`` when to look again.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, fields

from talkcodec.errors import InputError
from talkcodec.rtc.trace import Bottleneck, Trace

#: What IPv4 and UDP add to each datagram, in bytes.
DATAGRAM_OVERHEAD = 28

#: Datagrams a link holds at most, whatever its rate: tail drop beyond.
MAX_HELD = 4096

#: Seconds by which a reordered datagram comes later than it should, and a second copy as well.
REORDERED, DUPLICATED = 0.03, 0.002


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """What a path does to datagrams; the same in both directions.

    ``loss``: probability, 0 to 1. ``burst``: mean number of datagrams lost in a row, 1 or more;
    above 1 losses come in bursts (Gilbert 1960), and ``loss`` is their part in the long run.
    ``rtt``: seconds, half of it each way. ``jitter``: up to so many seconds more, uniform, so
    datagrams may overtake each other. ``reorder``: probability of coming 30 ms late;
    ``duplicate``: of coming twice. ``rate``: bits per second on the wire, headers included, or
    None for no limit; or ``trace``: a recorded link instead. ``queue``: seconds of waiting in
    front of either before the newest datagram is dropped. ``blackout``: first and last second,
    from the link's first datagram, between which nothing gets through.
    """

    loss: float = 0.0
    rtt: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    queue: float = 0.3
    burst: float = 1.0
    reorder: float = 0.0
    duplicate: float = 0.0
    trace: Trace | None = None
    blackout: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"expected a {name} between 0 and 1, found {value}")
        for name in ("rtt", "jitter", "queue"):
            value = getattr(self, name)
            if not 0 <= value <= 60:
                raise InputError(f"expected {name} between 0 and 60 s, found {value} s")
        if self.rate is not None and not 1000 <= self.rate <= 1e11:
            raise InputError(f"expected a rate of 1 kbit/s or more, found {self.rate} bit/s")
        if self.rate is not None and self.trace is not None:
            raise InputError("expected a rate or a trace, found both")
        if not 1 <= self.burst <= 1000:
            raise InputError(f"expected bursts of 1 to 1000 datagrams, found {self.burst}")
        if self.blackout and not 0 <= self.blackout[0] <= self.blackout[1] <= 1e6:
            raise InputError(f"expected a blackout from first to last, found {self.blackout}")

    @property
    def transparent(self) -> bool:
        """True when the link changes nothing."""
        neutral = LinkConfig(queue=self.queue, burst=self.burst)
        return all(
            getattr(self, field.name) == getattr(neutral, field.name) for field in fields(self)
        )


@dataclass(slots=True)
class LinkCounts:
    """Datagrams and wire bytes (payload + IPv4 + UDP) that met one direction of a path.

    ``duplicated``: second copies on top of those ``offered``.
    """

    offered: int = 0
    offered_bytes: int = 0
    delivered: int = 0
    lost: int = 0
    overflowed: int = 0
    duplicated: int = 0


class VirtualLink:
    """One direction of a path. Full queue: the newest datagram is dropped and counted.

    ``config`` may be replaced at any time; what is under way then arrives as it would have.
    ``impair`` does so and counts trace and blackout from now on; else they count from the first
    datagram.
    """

    def __init__(self, config: LinkConfig, rng: random.Random) -> None:
        self.config = config
        self.counts = LinkCounts()
        self._rng = rng
        self._held: list[tuple[float, int, bytes]] = []
        self._serial = 0
        self._free_at = 0.0
        self._bad = False
        self._began: float | None = None
        self._bottleneck: tuple[Trace, Bottleneck] | None = None

    def impair(self, config: LinkConfig, now: float) -> None:
        """Treat datagrams as ``config`` says, from ``now`` (seconds) on."""
        self.config, self._began = config, now
        self._bad, self._bottleneck = False, None

    def send(self, datagram: bytes, now: float) -> None:
        """Offer ``datagram`` to the path at time ``now`` (seconds)."""
        if self._began is None:
            self._began = now
        size = len(datagram) + DATAGRAM_OVERHEAD
        self.counts.offered += 1
        self.counts.offered_bytes += size
        # A datagram that the path loses has still used the bottleneck, as it would on air.
        leaves = self._leaves(size, now, self._began)
        if leaves is None or len(self._held) >= MAX_HELD:
            self.counts.overflowed += 1
            return
        if self._loses(now - self._began):
            self.counts.lost += 1
            return
        self._hold(datagram, leaves + self._delay())
        if self.config.duplicate and self._rng.random() < self.config.duplicate:
            self.counts.duplicated += 1
            self._hold(datagram, leaves + self._delay() + DUPLICATED)

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

    def _hold(self, datagram: bytes, until: float) -> None:
        heapq.heappush(self._held, (until, self._serial, datagram))
        self._serial += 1

    def _delay(self) -> float:
        delay = self.config.rtt / 2
        if self.config.jitter:
            delay += self._rng.uniform(0, self.config.jitter)
        if self.config.reorder and self._rng.random() < self.config.reorder:
            delay += REORDERED
        return delay

    def _loses(self, age: float) -> bool:
        """Decide about one datagram, ``age`` seconds after the first."""
        config = self.config
        if config.blackout and config.blackout[0] <= age < config.blackout[1]:
            return True
        if config.burst == 1 or config.loss in {0, 1}:
            return self._rng.random() < config.loss
        # Gilbert's two states. The bad one loses all and is left with probability 1/burst; how
        # often it is entered follows from the part of the time that it must take.
        leave = 1 / config.burst
        enter = leave * config.loss / (1 - config.loss)
        self._bad = self._rng.random() < (1 - leave if self._bad else min(enter, 1.0))
        return self._bad

    def _leaves(self, size: int, now: float, began: float) -> float | None:
        """Return when the last bit passes the bottleneck, or None if the queue is full."""
        trace = self.config.trace
        if trace is not None:
            if self._bottleneck is None or self._bottleneck[0] is not trace:
                self._bottleneck = trace, Bottleneck(trace)
            after = self._bottleneck[1].leaves(size, now - began, self.config.queue)
            return None if after is None else began + after
        if self.config.rate is None:
            return now
        start = max(now, self._free_at)
        if start - now > self.config.queue:
            return None
        self._free_at = start + size * 8 / self.config.rate
        return self._free_at
