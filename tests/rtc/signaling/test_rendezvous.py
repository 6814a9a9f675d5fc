# SPDX-License-Identifier: Apache-2.0
"""A real rendezvous server on loopback, honest clients, and others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest

from talkcodec.clock import ManualClock
from talkcodec.errors import SignalingError
from talkcodec.rtc.limits import Rate
from talkcodec.rtc.signaling.gate import GateLimits
from talkcodec.rtc.signaling.protocol import (
    MAX_MESSAGE,
    Answer,
    Bye,
    Create,
    Join,
    Message,
    Offer,
    Ready,
    Refused,
    Renew,
    Seated,
    decode,
    encode,
)
from talkcodec.rtc.signaling.room import RoomConfig, RoomSignaling
from talkcodec.rtc.signaling.rooms import RoomLimits
from talkcodec.rtc.signaling.server import RendezvousServer, ServerConfig

#: So wide that a test of something else meets none of it.
WIDE = RoomLimits(creates=Rate(1000, 1000), guesses=Rate(1000, 1000), messages=Rate(1000, 1000))
HOST = "127.0.0.1"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(rooms=WIDE, patience=5.0)


@pytest.fixture
async def server(config: ServerConfig, clock: ManualClock) -> AsyncIterator[RendezvousServer]:
    server = await RendezvousServer.open(HOST, 0, config=config, clock=clock)
    yield server
    await server.close()


def url(server: RendezvousServer) -> str:
    return f"ws://{HOST}:{server.listening.port}"


async def pair(server: RendezvousServer) -> tuple[RoomSignaling, RoomSignaling]:
    one = await RoomSignaling.open(RoomConfig(url(server)))
    two = await RoomSignaling.open(RoomConfig(url(server), one.room))
    return one, two


async def close(*ends: RoomSignaling) -> None:
    for end in ends:
        await end.close()


async def raw(http: aiohttp.ClientSession, server: RendezvousServer, *texts: str) -> Message:
    """Say ``texts`` to the server and return the last thing it says."""
    async with http.ws_connect(url(server)) as socket:
        for text in texts:
            await socket.send_str(text)
        heard: list[Message] = []
        async for message in socket:
            heard.append(decode(message.data))
            if isinstance(heard[-1], Refused):
                break
        return heard[-1]


async def test_two_ends_meet_and_talk(server: RendezvousServer) -> None:
    one, two = await pair(server)
    assert (one.offers, two.offers) == (True, False)
    assert one.room == two.room
    assert one.room.count("-") == 3
    assert await one.receive() == await two.receive() == Ready()
    await one.send(Offer("v=0", 1))
    assert await two.receive() == Offer("v=0", 1)
    await two.send(Answer("v=0", 1))
    await two.send(Renew())
    assert [await one.receive(), await one.receive()] == [Answer("v=0", 1), Renew()]
    await one.send(Bye("lunch"))
    assert await two.receive() == Bye("lunch")
    with pytest.raises(SignalingError, match="the other side left: lunch"):
        await two.receive()
    await close(one, two)
    assert len(server.rooms) == 0


async def test_a_room_has_two_seats(server: RendezvousServer) -> None:
    one, two = await pair(server)
    with pytest.raises(SignalingError, match="refused: expected the code of a room with a free"):
        await RoomSignaling.open(RoomConfig(url(server), one.room))
    await close(one, two)


async def test_the_code_may_be_typed_as_it_was_heard(server: RendezvousServer) -> None:
    one = await RoomSignaling.open(RoomConfig(url(server)))
    heard = " ".join(word[:4] for word in one.room.upper().split("-"))
    two = await RoomSignaling.open(RoomConfig(url(server), heard))
    assert two.room == one.room
    await close(one, two)


async def test_an_end_whose_connection_broke_comes_back_to_its_seat(
    server: RendezvousServer,
) -> None:
    one, two = await pair(server)
    assert await one.receive() == Ready()
    assert one._socket is not None
    one._socket._response.close()  # what a change of network does to a connection
    assert await one.receive() == Ready()
    await one.send(Offer("v=0", 2))
    assert [await two.receive(), await two.receive()] == [Ready(), Ready()]
    assert await two.receive() == Offer("v=0", 2)
    await close(one, two)


async def test_without_the_token_nobody_takes_a_seat_that_is_taken(
    server: RendezvousServer,
) -> None:
    one, two = await pair(server)
    async with aiohttp.ClientSession() as http:
        told = await raw(http, server, encode(Join(one.room, "not-the-token")))
        assert isinstance(told, Refused)
    await one.send(Renew())
    assert [await two.receive(), await two.receive()] == [Ready(), Renew()]
    await close(one, two)


async def test_a_bearer_token_is_needed_where_one_was_set(clock: ManualClock) -> None:
    config = ServerConfig(rooms=WIDE, token="secret")  # noqa: S106
    server = await RendezvousServer.open(HOST, 0, config=config, clock=clock)
    for wrong in (None, "other"):
        with pytest.raises(SignalingError, match="found HTTP 401"):
            await RoomSignaling.open(RoomConfig(url(server), token=wrong))
    await close(await RoomSignaling.open(RoomConfig(url(server), token="secret")))  # noqa: S106
    await server.close()


async def test_guessing_codes_is_slowed_to_a_crawl(clock: ManualClock) -> None:
    limits = replace(WIDE, guesses=Rate(per_second=1 / 60, burst=5))
    server = await RendezvousServer.open(HOST, 0, config=ServerConfig(rooms=limits), clock=clock)
    async with aiohttp.ClientSession() as http:
        guess = encode(Join("zoo-zoo-zoo-zoo"))
        answers = [await raw(http, server, guess) for _ in range(12)]
        told = [answer.reason for answer in answers if isinstance(answer, Refused)]
        assert len(told) == 12
        assert sum("free seat" in reason for reason in told) == 5
        assert sum("fewer wrong room codes" in reason for reason in told) == 7
        # Not even a right code is looked at now, else guessing could go on.
        opener = await RoomSignaling.open(RoomConfig(url(server)))
        with pytest.raises(SignalingError, match="fewer wrong room codes"):
            await RoomSignaling.open(RoomConfig(url(server), opener.room))
        clock.advance(61.0)
        await close(opener, await RoomSignaling.open(RoomConfig(url(server), opener.room)))
    await server.close()


async def test_rooms_are_bounded_and_forgotten_in_time(clock: ManualClock) -> None:
    limits = replace(WIDE, rooms=3, waiting=900.0)
    server = await RendezvousServer.open(HOST, 0, config=ServerConfig(rooms=limits), clock=clock)
    ends = [await RoomSignaling.open(RoomConfig(url(server))) for _ in range(3)]
    with pytest.raises(SignalingError, match="found all 3 taken"):
        await RoomSignaling.open(RoomConfig(url(server)))
    clock.advance(901.0)
    await server.expire()
    assert len(server.rooms) == 0
    with pytest.raises(SignalingError, match="expected somebody to come, found nobody"):
        await ends[0].receive()
    await close(*ends)
    await server.close()


async def test_a_room_in_which_too_much_is_said_is_closed_to_it(clock: ManualClock) -> None:
    limits = replace(WIDE, messages=Rate(per_second=1, burst=30))
    server = await RendezvousServer.open(HOST, 0, config=ServerConfig(rooms=limits), clock=clock)
    async with aiohttp.ClientSession() as http:
        told = await raw(http, server, encode(Create()), *[encode(Renew())] * 40)
    assert told == Refused("expected fewer messages, or a room still open")
    assert server.rooms._rooms.popitem()[1].bucket.refused == 1  # nothing after it was read
    await server.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "null",
        "{" * 3000,
        encode(Renew()),
        encode(Seated("a", "b", offers=True)),
        '{"type":"create","more":1}',
        '{"type":"join","room":7,"token":""}',
        '{"type":"join","room":"a\\u001b[2J","token":""}',
    ],
)
async def test_a_wrong_first_message_ends_the_connection_politely(
    server: RendezvousServer, text: str
) -> None:
    async with aiohttp.ClientSession() as http:
        assert isinstance(await raw(http, server, text), Refused)
    assert len(server.rooms) == 0


async def test_a_message_too_large_is_never_held(server: RendezvousServer) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url(server), max_msg_size=0) as socket,
    ):
        await socket.send_str("x" * (MAX_MESSAGE + 1))
        received = await socket.receive()
        assert received.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.TEXT}
    assert len(server.rooms) == 0


async def test_a_message_of_endless_fragments_is_never_held(server: RendezvousServer) -> None:
    """Fragments of one message, each small and none the last."""
    reader, writer = await upgraded(server)
    for number in range(200):
        opcode = 0x01 if number == 0 else 0x00
        mask = bytes(4)
        writer.write(bytes((opcode, 0x80 | 126)) + (1000).to_bytes(2, "big") + mask + b"x" * 1000)
    assert b"\x03\xf1" in await reader.read(4096)  # close code 1009: message too big
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def upgraded(
    server: RendezvousServer,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection that speaks WebSocket frames, byte by byte in our hands."""
    reader, writer = await asyncio.open_connection(HOST, server.listening.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head.split(b"\r\n")[0]
    return reader, writer


async def test_a_slow_loris_gets_neither_time_nor_room(clock: ManualClock) -> None:
    config = ServerConfig(rooms=WIDE, patience=2.0, gate=GateLimits(100, 4))
    server = await RendezvousServer.open(HOST, 0, config=config, clock=clock)
    streams = [await asyncio.open_connection(HOST, server.listening.port) for _ in range(4)]
    for _, writer in streams:
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
    one_too_many = await asyncio.open_connection(HOST, server.listening.port)
    assert await one_too_many[0].read() == b""
    assert server.listening.gate.refused == 1
    for reader, _ in streams:  # the server ends them; the test would hang otherwise
        assert await reader.read() == b""
    assert server.listening.gate.connections == 0
    for _, writer in (*streams, one_too_many):
        writer.close()
        await writer.wait_closed()
    await close(await RoomSignaling.open(RoomConfig(url(server))))
    await server.close()


async def test_who_connects_and_says_nothing_is_sent_away(clock: ManualClock) -> None:
    config = ServerConfig(rooms=WIDE, patience=0.3)
    server = await RendezvousServer.open(HOST, 0, config=config, clock=clock)
    async with aiohttp.ClientSession() as http:
        told = await raw(http, server)
        assert told == Refused("expected create or join first, found nothing")
    await server.close()


async def test_nothing_of_a_conversation_is_logged(
    server: RendezvousServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one, two = await pair(server)
    await one.send(Offer("v=0 private-words", 1))
    assert [await two.receive(), await two.receive()] == [Ready(), Offer("v=0 private-words", 1)]
    with pytest.raises(SignalingError):
        await RoomSignaling.open(RoomConfig(url(server), one.room))
    await close(one, two)
    records = [record for record in caplog.records if record.name.startswith("talkcodec")]
    assert [record.getMessage() for record in records][:2] == [
        "1 rooms, 1 connections",
        "1 rooms, 2 connections",
    ]
    logged = " ".join(record.getMessage() for record in caplog.records)
    for secret in ("private-words", one.room, HOST):
        assert secret not in logged


async def test_a_plain_request_is_told_what_is_expected(server: RendezvousServer) -> None:
    base = f"http://{HOST}:{server.listening.port}"
    async with aiohttp.ClientSession() as http:
        for method, path, status in (("GET", "/", 426), ("POST", "/", 405), ("GET", "/x", 404)):
            async with http.request(method, base + path) as response:
                assert response.status == status


async def test_a_server_that_is_not_there_is_told_in_one_line() -> None:
    config = RoomConfig(f"ws://{HOST}:9", patience=2.0)
    with pytest.raises(SignalingError, match="expected a rendezvous server at") as caught:
        await RoomSignaling.open(config)
    assert "\n" not in str(caught.value)
