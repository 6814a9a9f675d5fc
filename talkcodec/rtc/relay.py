# SPDX-License-Identifier: Apache-2.0
"""A UDP relay between two peers: where the wire is measured and impaired.

Each peer is told, through a rewritten session description, that the other one lives at a socket
of the relay. Every datagram of the call (ICE, DTLS, SCTP, acknowledgements) therefore passes
here, is counted with its IPv4 and UDP headers, and meets a ``VirtualLink``.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import cast

from talkcodec.clock import Clock, SystemClock
from talkcodec.rtc.link import LinkConfig, LinkCounts, VirtualLink
from talkcodec.rtc.sdp import host_address, only_candidate

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class WireCounts:
    """What crossed the wire: ``forward`` from the offering peer, ``back`` from the other."""

    forward: LinkCounts
    back: LinkCounts


class UdpRelay:
    """Two sockets and a link for each direction. Use ``await UdpRelay.open(seed=...)``."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._forward = _Direction(clock, random.Random(seed))
        self._back = _Direction(clock, random.Random(seed + 1))

    @classmethod
    async def open(cls, *, clock: Clock | None = None, seed: int = 0) -> UdpRelay:
        """Bind both sockets and relay without impairment until ``impair`` is called."""
        relay = cls(clock or SystemClock(), seed)
        loop = asyncio.get_running_loop()
        # Bound to all interfaces because the peers' candidates decide which one they will use.
        for direction in (relay._forward, relay._back):
            await loop.create_datagram_endpoint(
                partial(_Socket, direction),
                local_addr=("0.0.0.0", 0),  # noqa: S104  strangers' datagrams are ignored
            )
        # What one socket takes in, the other one hands out, so that a peer sees one address.
        relay._forward.outlet = relay._back.socket
        relay._back.outlet = relay._forward.socket
        return relay

    def offer(self, sdp: str) -> str:
        """Note where the offering peer lives and return its description for the other peer."""
        return self._introduce(sdp, self._forward, self._back)

    def answer(self, sdp: str) -> str:
        """Note where the answering peer lives and return its description for the offering one."""
        return self._introduce(sdp, self._back, self._forward)

    def _introduce(self, sdp: str, sends: _Direction, receives: _Direction) -> str:
        peer = host_address(sdp)
        sends.source = peer
        receives.target = peer
        # The other peer's datagrams enter where ``receives`` listens.
        return only_candidate(sdp, peer[0], receives.port)

    def impair(self, config: LinkConfig, back: LinkConfig | None = None) -> None:
        """From now on treat datagrams as ``config`` says; those to the offering peer as ``back``
        does, if it is given.
        """
        now = self._clock.now()
        self._forward.link.impair(config, now)
        self._back.link.impair(back or config, now)

    @property
    def counts(self) -> WireCounts:
        """Totals since the relay was opened."""
        return WireCounts(self._forward.link.counts, self._back.link.counts)

    def close(self) -> None:
        """Close both sockets; datagrams still under way are gone."""
        for direction in (self._forward, self._back):
            direction.close()


class _Direction:
    """Takes datagrams from ``source`` in on its own socket, hands them to ``target`` by another."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.link = VirtualLink(LinkConfig(), rng)
        self.source: Address | None = None
        self.target: Address | None = None
        self.socket: asyncio.DatagramTransport | None = None
        self.outlet: asyncio.DatagramTransport | None = None
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        if self.socket is None:
            raise RuntimeError("expected an open relay, found a closed one")
        return cast("int", self.socket.get_extra_info("sockname")[1])

    def take(self, datagram: bytes, source: Address) -> None:
        # A peer also probes from its other interfaces: such datagrams are not part of the call.
        if source == self.source:
            self.link.send(datagram, self._clock.now())
            self._pump()

    def _pump(self) -> None:
        for datagram in self.link.due(self._clock.now()):
            if self.outlet is not None and self.target is not None:
                self.outlet.sendto(datagram, self.target)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.link.next_due()
        if due is not None:
            wait = max(due - self._clock.now(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(wait, self._pump)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.socket is not None:
            self.socket.close()


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, direction: _Direction) -> None:
        self._direction = direction

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._direction.socket = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._direction.take(data, addr[:2])
