# SPDX-License-Identifier: Apache-2.0
"""Any bytes at all to our two HTTP servers: they answer or hang up, and live on."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from talkcodec.rtc.limits import Rate
from talkcodec.rtc.signaling.gate import GateLimits
from talkcodec.rtc.signaling.listening import Listening, new_app
from talkcodec.rtc.signaling.protocol import (
    Bye,
    Create,
    Join,
    Message,
    Offer,
    Ready,
    Renew,
    encode,
)
from talkcodec.rtc.signaling.room import RoomConfig, RoomSignaling
from talkcodec.rtc.signaling.rooms import RoomLimits
from talkcodec.rtc.signaling.server import RendezvousServer, ServerConfig
from talkcodec.rtc.signaling.whip import WhipServer

HOST = "127.0.0.1"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nContent-Length: "
WORDS = [
    b"GET ", b"POST ", b"DELETE ", b"/", b"/session/", b" HTTP/1.1\r\n", b"HTTP/9.9", b"\r\n",
    b"\r\n\r\n", b"Host: x\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 99999999\r\n",
    b"Content-Length: -1\r\n", b"Content-Type: application/sdp\r\n", b"Expect: 100-continue\r\n",
    b"Content-Encoding: gzip\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n",
    b"Authorization: Bearer \xff\r\n", b"v=0\r\n", b"Connection: Upgrade\r\n",
    b"Upgrade: websocket\r\n", b"A: " + b"a" * 5000, b"\0",
]  # fmt: skip


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is told of exceptions that nobody handled; must stay empty."""
    found: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        found.append(record.getMessage())
        return True

    caplog.set_level(logging.WARNING)
    caplog.handler.addFilter(note)
    return found


@pytest.fixture
async def rendezvous(complaints: list[str]) -> AsyncIterator[RendezvousServer]:
    watch(complaints)
    wide = RoomLimits(creates=Rate(1000, 1000), guesses=Rate(1000, 1000), rooms=50)
    config = ServerConfig(rooms=wide, gate=GateLimits(100, 100), patience=0.3)
    server = await RendezvousServer.open(HOST, 0, config=config)
    yield server
    await server.close()


@pytest.fixture
async def whip(complaints: list[str]) -> AsyncIterator[WhipServer]:
    watch(complaints)
    server = await WhipServer.open(HOST, 0, patience=0.05, head_patience=0.3)
    yield server
    await server.close()


def watch(complaints: list[str]) -> None:
    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        complaints.append(str(context))

    asyncio.get_running_loop().set_exception_handler(handle)


async def throw(listening: Listening, *parts: bytes) -> bytes:
    """Send ``parts`` on one connection; return what came back until it was closed or fell still."""
    reader, writer = await asyncio.open_connection(HOST, listening.port)
    heard = b""
    with suppress(ConnectionError, TimeoutError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(0.05):
            while piece := await reader.read(4096):
                heard += piece
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return heard


def frame(rng: random.Random, payload: bytes) -> bytes:
    """Return a WebSocket frame, sometimes a wrong one."""
    opcode = rng.choice((0x1, 0x1, 0x1, 0x2, 0x0, 0x8, 0x9, 0xA, 0x3, 0xF))
    head = bytes((rng.choice((0x80, 0x80, 0x00, 0xF0)) | opcode,))
    size = len(payload) if rng.random() < 0.9 else rng.randrange(1 << 16)
    masked = 0x80 if rng.random() < 0.9 else 0
    head += (
        bytes((masked | 126,)) + size.to_bytes(2, "big") if size > 125 else bytes((masked | size,))
    )
    return head + (bytes(4) if masked else b"") + payload


def messages(rng: random.Random) -> bytes:
    kinds: list[Message] = [
        Create(), Join("zoo-zoo-zoo-zoo", "x"), Renew(), Bye("x"), Ready(), Offer("v=0", 1),
    ]  # fmt: skip
    text = bytearray(encode(rng.choice(kinds)).encode())
    if rng.random() < 0.5:
        text[rng.randrange(len(text))] = rng.randrange(256)
    return bytes(text)


def requests(rng: random.Random) -> bytes:
    return b"".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9)))


async def barrage(
    listening: Listening, make: Callable[[random.Random], list[bytes]], count: int
) -> int:
    """Throw ``count`` times, ten at once; return how often something was answered."""
    rng, answered = random.Random(0), 0
    for _ in range(count // 10):
        heard = await asyncio.gather(*(throw(listening, *make(rng)) for _ in range(10)))
        answered += sum(map(bool, heard))
    return answered


async def test_any_request_leaves_the_rendezvous_server_working(
    rendezvous: RendezvousServer, complaints: list[str]
) -> None:
    assert await barrage(rendezvous.listening, lambda rng: [requests(rng)], 200) > 50
    assert await barrage(rendezvous.listening, lambda rng: [rng.randbytes(200)], 50) > 10
    end = await RoomSignaling.open(RoomConfig(f"ws://{HOST}:{rendezvous.listening.port}"))
    await end.close()
    assert complaints == []


async def test_any_frames_leave_the_rendezvous_server_working(
    rendezvous: RendezvousServer, complaints: list[str]
) -> None:
    def frames(rng: random.Random) -> list[bytes]:
        return [UPGRADE, *(frame(rng, messages(rng)) for _ in range(rng.randint(1, 6)))]

    assert await barrage(rendezvous.listening, frames, 300) > 200
    one = await RoomSignaling.open(RoomConfig(f"ws://{HOST}:{rendezvous.listening.port}"))
    two = await RoomSignaling.open(RoomConfig(f"ws://{HOST}:{rendezvous.listening.port}", one.room))
    assert await two.receive() == Ready()
    await one.close()
    await two.close()
    assert len(rendezvous.rooms) <= 50
    assert complaints == []


async def test_any_request_leaves_the_end_that_is_posted_to_working(
    whip: WhipServer, complaints: list[str]
) -> None:
    def post(rng: random.Random) -> list[bytes]:
        body = b"v=0\r\n" + rng.randbytes(rng.randrange(200))
        claimed = len(body) if rng.random() < 0.7 else rng.randrange(1 << 20)
        return [POST + str(claimed).encode() + b"\r\n\r\n", body]

    whip._requests._rate = Rate(1e6, 1e6)
    assert await barrage(whip.listening, lambda rng: [requests(rng)], 200) > 50
    assert await barrage(whip.listening, post, 100) > 40
    assert b" 200 OK" in await throw(whip.listening, b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert complaints == []
    assert whip._session is None


async def test_connections_beyond_the_limit_are_closed_unread() -> None:
    config = ServerConfig(gate=GateLimits(connections=50, per_address=20))
    server = await RendezvousServer.open(HOST, 0, config=config)
    streams = [await asyncio.open_connection(HOST, server.listening.port) for _ in range(60)]
    for reader, writer in streams[20:]:
        writer.write(b"GET")
        with suppress(ConnectionError):
            assert await reader.read() == b""
    assert server.listening.gate.connections == 20
    assert server.listening.gate.refused == 40
    for _, writer in streams:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    await server.close()


async def test_an_exception_of_ours_is_told_without_an_address_and_a_bad_request_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError(HOST)

    app = new_app()
    app.router.add_get("/", broken)
    listening = await Listening.open(app, HOST, 0)
    assert b" 500 " in await throw(listening, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 400 " in await throw(listening, b"GET / HTTP/1.1\r\nHost x\r\n\r\n")
    await listening.close()
    assert [record.getMessage() for record in caplog.records] == [
        "expected no exception here, found RuntimeError"
    ]
