# SPDX-License-Identifier: Apache-2.0
"""Meeting in a room of a rendezvous server: the client of ``server.py``.

A connection to the server that breaks, as it does when the network changes, is made again with
the seat's token; messages sent meanwhile wait for it.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp

from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import InputError, SignalingError
from talkcodec.rtc.signaling.backoff import Backoff
from talkcodec.rtc.signaling.codes import parse_code
from talkcodec.rtc.signaling.inbox import Inbox
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

_HEARTBEAT = 20.0


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """``url``: ``ws://`` or ``wss://``. ``room``: its code, or None to open one. ``token``: bearer
    token of the server, if it needs one. ``authority``: file of certificates to trust instead of
    the system's. ``patience``: seconds for an answer of the server, and to reach it again.
    """

    url: str
    room: str | None = None
    token: str | None = None
    authority: Path | None = None
    patience: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


class RoomSignaling:
    """One end in a room; see ``protocol.Signaling``. Use ``await RoomSignaling.open(config)``."""

    def __init__(self, config: RoomConfig, clock: Clock, rng: random.Random) -> None:
        self._config = config
        self._clock = clock
        self._rng = rng
        self._http = aiohttp.ClientSession(
            trust_env=False, connector=aiohttp.TCPConnector(ssl=client_tls(config.authority))
        )
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._seat: Seated | None = None
        self._inbox = Inbox()
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, config: RoomConfig, *, clock: Clock | None = None, rng: random.Random | None = None
    ) -> Self:
        """Take a seat. Raises ``SignalingError`` when there is none or no server."""
        if config.room is not None:
            parse_code(config.room)
        signaling = cls(config, clock or SystemClock(), rng or random.Random())
        try:
            await signaling._connect()
        except BaseException:
            await signaling.close()
            raise
        signaling._reader = asyncio.create_task(signaling._read())
        return signaling

    @property
    def room(self) -> str:
        """The room's code, to be told to the other end."""
        return self._seat.room if self._seat else ""

    @property
    def offers(self) -> bool:
        return self._seat is not None and self._seat.offers

    @property
    def patience(self) -> float:
        return self._config.patience

    @property
    def lasts(self) -> bool:
        return True

    async def send(self, message: Message) -> None:
        text = encode(message)
        try:
            await asyncio.wait_for(self._connected.wait(), self._config.patience)
            if self._socket is not None:
                await self._socket.send_str(text)
        except TimeoutError:
            raise SignalingError(self._lost()) from None
        except OSError as error:  # aiohttp's reset errors are such
            raise SignalingError(f"{self._lost()}: {error}") from None

    async def receive(self) -> Message:
        return await self._inbox.take()

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None
        if self._socket is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._socket.close(), 2.0)
            self._socket = None
        await self._http.close()

    async def _connect(self) -> None:
        """Reach the server and take a seat: a new one, or the old one again."""
        headers = {"Authorization": f"Bearer {self._config.token}"} if self._config.token else {}
        try:
            async with asyncio.timeout(self._config.patience):
                self._socket = await self._http.ws_connect(
                    self._config.url,
                    headers=headers,
                    max_msg_size=MAX_MESSAGE,
                    heartbeat=_HEARTBEAT,
                )
                await self._socket.send_str(encode(self._request()))
                answer = decode(await self._socket.receive_str())
        except aiohttp.WSServerHandshakeError as error:
            found = Unreachable if error.status >= 500 else SignalingError
            raise found(
                f"expected a rendezvous server at {self._config.url}, found HTTP {error.status}"
            ) from None
        except (aiohttp.ClientError, OSError, TypeError, ValueError) as error:
            raise Unreachable(f"{self._lost()}: {str(error)[:200]}") from None
        if isinstance(answer, Refused):
            raise SignalingError(f"the rendezvous server refused: {answer.reason}")
        if not isinstance(answer, Seated):
            raise SignalingError(f"expected a seat in a room, found {answer.name}")
        self._seat = answer
        self._connected.set()

    def _request(self) -> Create | Join:
        if self._seat is not None:
            return Join(self._seat.room, self._seat.token)
        return Create() if self._config.room is None else Join(parse_code(self._config.room))

    async def _read(self) -> None:
        """Take what the server says, and find it again when it is lost."""
        try:
            while True:
                await self._listen()
                self._connected.clear()
                await self._reconnect()
        except SignalingError as error:
            self._inbox.fail(error)
            self._connected.set()  # whoever waits to send learns it from the closed socket

    async def _listen(self) -> None:
        """Pass messages on until the connection ends."""
        if self._socket is None:
            return
        async for received in self._socket:
            if received.type is not aiohttp.WSMsgType.TEXT:
                raise SignalingError("expected text of the rendezvous server, found something else")
            message = decode(received.data)
            if isinstance(message, Refused):
                raise SignalingError(f"the rendezvous server refused: {message.reason}")
            if isinstance(message, (Ready, *PEER_MESSAGES)):
                self._inbox.put(message)
            if isinstance(message, Bye):
                raise SignalingError(f"the other side left: {message.reason or 'no reason'}")

    async def _reconnect(self) -> None:
        """Try again until patience is over. Raises ``SignalingError`` then, or when refused."""
        deadline = self._clock.now() + self._config.patience
        failures = 0
        while True:
            try:
                await self._connect()
            except Unreachable:
                failures += 1
                wait = self._config.backoff.wait(failures, self._rng)
                if self._clock.now() + wait > deadline:
                    raise
                await asyncio.sleep(wait)
            else:
                return

    def _lost(self) -> str:
        return f"expected a rendezvous server at {self._config.url}, found none"


class Unreachable(SignalingError):
    """The server cannot be reached now; later it may be."""


def client_tls(authority: Path | None) -> ssl.SSLContext:
    """Return the TLS context of a client. Raises ``InputError`` for a file of no certificates."""
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"expected certificates in PEM to trust, found {authority}: {error}"
        ) from None
