# SPDX-License-Identifier: Apache-2.0
"""The rendezvous server: a WebSocket to meet at, and nothing else.

A client connects, says ``create`` or ``join``, is told its seat, and from then on its messages go
to the other seat of the room, which must be connected to hear them. The server looks at messages
only to see that they are some; it writes none of them down, nor codes or addresses. What it could
do is listed in README.md: it sees addresses and fingerprints, and not the call.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from aiohttp import WSMsgType, web

from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import SignalingError
from talkcodec.rtc.signaling.gate import GateLimits, origin
from talkcodec.rtc.signaling.listening import HEAD_PATIENCE, Listening, authorised, new_app
from talkcodec.rtc.signaling.protocol import (
    MAX_MESSAGE,
    PEER_MESSAGES,
    Bye,
    Create,
    Join,
    Message,
    Ready,
    Refused,
    Seated,
    decode,
    encode,
)
from talkcodec.rtc.signaling.rooms import RoomLimits, RoomRefused, Rooms, Seat

log = logging.getLogger(__name__)

#: Seconds between looks at rooms whose time may be over.
_SWEEP = 10.0

#: Seconds between pings; a client that answers none is gone.
_HEARTBEAT = 20.0


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """``token``: bearer token that every client must show, or None. ``patience``: seconds that a
    client has for its request and for its first message, and to take a message we send it.
    """

    rooms: RoomLimits = field(default_factory=RoomLimits)
    gate: GateLimits = field(default_factory=GateLimits)
    token: str | None = None
    patience: float = HEAD_PATIENCE


class RendezvousServer:
    """Use ``await RendezvousServer.open(host, port)``, and ``close`` it."""

    def __init__(self, config: ServerConfig, clock: Clock) -> None:
        self.rooms = Rooms(config.rooms)
        self._config = config
        self._clock = clock
        self._seated: dict[tuple[str, int], web.WebSocketResponse] = {}
        self._listening: Listening | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        config: ServerConfig | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Listen at ``host:port`` (port 0: any). Raises ``InputError`` where that is impossible."""
        config = config or ServerConfig()
        server = cls(config, clock or SystemClock())
        app = new_app()
        app.router.add_get("/", server._serve)
        app.cleanup_ctx.append(server._sweeping)
        server._listening = await Listening.open(
            app, host, port, tls=tls, limits=config.gate, patience=config.patience
        )
        return server

    @property
    def listening(self) -> Listening:
        """The socket and its gate."""
        if self._listening is None:
            raise RuntimeError("expected an open server, found a closed one")
        return self._listening

    async def close(self) -> None:
        """End every connection."""
        for socket in list(self._seated.values()):
            with suppress(Exception):
                await asyncio.wait_for(socket.close(), 1.0)
        await self.listening.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Take one client from its first message to its last."""
        if not authorised(request, self._config.token):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE, heartbeat=_HEARTBEAT, compress=False, timeout=1.0
        )
        if not socket.can_prepare(request).ok:
            raise web.HTTPUpgradeRequired(text="expected a WebSocket, found a plain request\n")
        await socket.prepare(request)
        seat = None
        try:
            seat = await self._admit(socket, origin(request.remote))
            await self._carry(socket, seat)
        except RoomRefused as refusal:
            await self._tell(socket, Refused(str(refusal)[:120], refusal.retry))
        except SignalingError as error:
            await self._tell(socket, Refused(str(error).encode("ascii", "replace").decode()[:120]))
        finally:
            # Another connection may have taken the seat over meanwhile.
            if seat is not None and self._seated.get((seat.code, seat.number)) is socket:
                del self._seated[seat.code, seat.number]
            await socket.close()
        return socket

    async def _admit(self, socket: web.WebSocketResponse, address: str) -> Seat:
        """Read the first message and give the client its seat."""
        try:
            text = await asyncio.wait_for(socket.receive_str(), self._config.patience)
        except (TimeoutError, TypeError):  # too late; closed, or not text
            raise SignalingError("expected create or join first, found nothing") from None
        first, now = decode(text), self._clock.now()
        if isinstance(first, Create):
            seat = self.rooms.create(address, now)
        elif isinstance(first, Join):
            seat = self.rooms.join(first.room, first.token, address, now)
        else:
            raise SignalingError(f"expected create or join first, found {first.name}")
        before = self._seated.get((seat.code, seat.number))
        self._seated[seat.code, seat.number] = socket
        if before is not None:  # the same end, back before we noticed that it was gone
            await self._tell(before, Refused("expected one connection a seat, found a newer one"))
            with suppress(Exception):
                await asyncio.wait_for(before.close(), 1.0)
        await self._tell(socket, Seated(seat.code, seat.token, seat.offers))
        other = self._other(seat)
        if other is not None:
            await self._tell(socket, Ready())
            await self._tell(other, Ready())
        log.info("%d rooms, %d connections", len(self.rooms), self.listening.gate.connections)
        return seat

    async def _carry(self, socket: web.WebSocketResponse, seat: Seat) -> None:
        """Pass on what the client says until it leaves."""
        async for received in socket:
            if received.type is not WSMsgType.TEXT:
                raise SignalingError("expected text, found something else")
            message = decode(received.data)
            if not isinstance(message, PEER_MESSAGES):
                raise SignalingError(f"expected a message for the other end, found {message.name}")
            if not self.rooms.relay(seat, self._clock.now()):
                raise RoomRefused("expected fewer messages, or a room still open")
            other = self._other(seat)
            if other is not None:
                await self._tell(other, message)
            if isinstance(message, Bye):
                self.rooms.end(seat.code)
                return

    def _other(self, seat: Seat) -> web.WebSocketResponse | None:
        return self._seated.get((seat.code, 1 - seat.number))

    async def _tell(self, socket: web.WebSocketResponse, message: Message) -> None:
        """Send; a client that does not read what it is sent is cut off."""
        try:
            await asyncio.wait_for(socket.send_str(encode(message)), self._config.patience)
        except (TimeoutError, OSError, RuntimeError):
            with suppress(Exception):
                await asyncio.wait_for(socket.close(), 1.0)

    async def _sweeping(self, _app: web.Application) -> AsyncIterator[None]:
        """Forget rooms in time, as long as the server runs."""
        task = asyncio.create_task(self._sweep())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            await self.expire()

    async def expire(self) -> None:
        """Forget the rooms whose time is over, and tell those who wait in them."""
        for code in self.rooms.expire(self._clock.now()):
            for number in (0, 1):
                socket = self._seated.pop((code, number), None)
                if socket is not None:
                    await self._tell(socket, Refused("expected somebody to come, found nobody"))
                    with suppress(Exception):
                        await asyncio.wait_for(socket.close(), 1.0)
