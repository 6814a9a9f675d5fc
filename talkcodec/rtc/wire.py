# SPDX-License-Identifier: Apache-2.0
"""The datagrams of a call's own connection: counted, and lost or held up on request.

``relay.py`` does this between two peers of one machine. Here it happens inside one end, between
DTLS and ICE, so that it works in any call and over any path: what a person changes with a slider
is what a bad network would do, both ways, below everything that has to cope with it. ICE's own
checks pass by, so a connection is not lost for it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from talkcodec.clock import Clock, SystemClock
from talkcodec.rtc.link import DATAGRAM_OVERHEAD, LinkConfig, VirtualLink

if TYPE_CHECKING:
    from aiortc import RTCIceTransport

#: First bytes of RTP and RTCP (RFC 7983); data channels travel by DTLS, with others.
_RTP = range(128, 192)

#: Second bytes of RTCP that are none of RTP with a marker (RFC 5761 section 4).
_RTCP = range(192, 224)


@dataclass(slots=True)
class Traffic:
    """Wire bytes (datagrams with IPv4 and UDP headers) that one direction carried.

    ``pictures``: motion, references, ordinary video, and the acknowledgements and messages beside
    them; ``sound``: packets of sound and all reports on RTP streams.
    """

    pictures: int = 0
    sound: int = 0


class Wire:
    """Watches the connections of one call, one after the other. Belongs to the event loop.

    ``sent``, ``received``: totals of all of them, without handshakes and ICE. ``received`` counts
    what came before anything of it is lost here.
    """

    def __init__(self, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.sent, self.received = Traffic(), Traffic()
        self._clock = clock or SystemClock()
        rng = rng or random.Random()
        self._out, self._in = (VirtualLink(LinkConfig(), rng) for _ in range(2))

    @property
    def config(self) -> LinkConfig:
        """What is done to datagrams now."""
        return self._out.config

    def impair(self, config: LinkConfig) -> None:
        """From now on treat datagrams in both directions as ``config`` says."""
        for link in (self._out, self._in):
            link.impair(config, self._clock.now())

    def tap(self, transport: RTCIceTransport, sound: int | None) -> Tap:
        """Put ourselves between ``transport`` and what uses it.

        ``sound``: the RTP payload type of sound.
        """
        tap = Tap(transport, sound, self)
        transport._recv, transport._send = tap.recv, tap.send  # noqa: SLF001  see Tap
        return tap

    def carry(self, datagram: bytes, *, sent: bool) -> None:
        """Offer a datagram that is to go out, or that came in."""
        (self._out if sent else self._in).send(datagram, self._clock.now())

    def due(self, *, sent: bool) -> tuple[list[bytes], float | None]:
        """Return what of a direction goes on now, and the seconds until more does."""
        link, now = self._out if sent else self._in, self._clock.now()
        datagrams, after = link.due(now), link.next_due()
        return datagrams, None if after is None else max(after - now, 0.0)


class Tap:
    """Stands in for ``_recv`` and ``_send`` of an aiortc ICE transport.

    aiortc sets both on the instance, for its DTLS transport to call, and has no other seam there;
    ``tests/rtc/test_wire.py`` fails when an aiortc has it elsewhere. A ``VirtualLink`` bounds what
    waits here.
    """

    def __init__(self, transport: RTCIceTransport, sound: int | None, wire: Wire) -> None:
        self._recv: Callable[[], Awaitable[bytes]] = transport._recv  # noqa: SLF001  see above
        self._send: Callable[[bytes], Awaitable[None]] = transport._send  # noqa: SLF001
        self._sound = sound
        self._wire = wire
        self._ready: deque[bytes] = deque()
        self._reading: asyncio.Future[bytes] | None = None
        self._later: asyncio.Task[None] | None = None

    async def recv(self) -> bytes:
        """Return the next datagram that the path lets through."""
        try:
            while not self._ready:
                await self._read()
        except asyncio.CancelledError:
            if self._reading is not None:
                self._reading.cancel()
            raise
        return self._ready.popleft()

    async def send(self, data: bytes) -> None:
        """Send ``data``, if the path lets it through."""
        self._count(self._wire.sent, data)
        self._wire.carry(data, sent=True)
        after = await self._flush()
        if after is not None and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._drain(after))

    def close(self) -> None:
        """Hand out no more of what is under way."""
        for work in (self._later, self._reading):
            if work is not None:
                work.cancel()

    async def _read(self) -> None:
        """Wait for a datagram, or until one that is held up is due."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._recv())
        held, after = self._wire.due(sent=False)
        self._ready.extend(held)
        if held:
            return
        done, _ = await asyncio.wait({self._reading}, timeout=after)
        if done:
            reading, self._reading = self._reading, None
            datagram = reading.result()
            self._count(self._wire.received, datagram)
            self._wire.carry(datagram, sent=False)
        self._ready.extend(self._wire.due(sent=False)[0])

    async def _flush(self) -> float | None:
        """Send what is due; return the seconds until more is."""
        datagrams, after = self._wire.due(sent=True)
        for datagram in datagrams:
            await self._send(datagram)
        return after

    async def _drain(self, after: float | None) -> None:
        with suppress(ConnectionError):  # the connection ended meanwhile
            while after is not None:
                await asyncio.sleep(after)
                after = await self._flush()

    def _count(self, traffic: Traffic, datagram: bytes) -> None:
        size = len(datagram) + DATAGRAM_OVERHEAD
        if self._is_sound(datagram):
            traffic.sound += size
        else:
            traffic.pictures += size

    def _is_sound(self, datagram: bytes) -> bool:
        if len(datagram) < 2 or datagram[0] not in _RTP:
            return False
        return datagram[1] in _RTCP or datagram[1] & 0x7F == self._sound
