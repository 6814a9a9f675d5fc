# SPDX-License-Identifier: Apache-2.0
"""Any requests and any messages: the server answers or hangs up, and lives on."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talkcodec.rtc.limits import Rate, TokenBucket
from talkcodec.web import server as module
from tests.web.served import Client, serving

WORDS = st.sampled_from(
    [
        b"GET ", b"POST ", b"OPTIONS ", b"/", b"/session", b"/wire", b"/../x", b" HTTP/1.1\r\n",
        b"HTTP/9.9", b"\r\n", b"\r\n\r\n", b"Host: HERE\r\n", b"Host: x\r\n",
        b"Origin: http://HERE\r\n", b"Origin: \xff\r\n", b"Content-Type: application/json\r\n",
        b"Content-Length: 99999999\r\n", b"Content-Length: 12\r\n", b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b'{"token": 1}',
        b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b"A: " + b"a" * 5000, b"\0",
        b"Sec-WebSocket-Protocol: talkcodec.1, session.x\r\n",
    ]
)  # fmt: skip
REQUESTS = st.lists(st.lists(WORDS | st.binary(max_size=20), max_size=9).map(b"".join), max_size=12)

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
KINDS = ["media", "meet", "line", "leave", "mute", "mark", "video", "loss", "x"]
MEET = st.fixed_dictionaries(
    {
        "type": st.just("meet"),
        "place": st.sampled_from(["paste", "x", "ws://[", "http://127.0.0.1:9/", "listen:::"]),
        "room": st.sampled_from(["", "zoo-zoo-zoo-zoo"]),
        "answers": st.booleans(),
    }
)
OBJECTS = st.dictionaries(
    st.sampled_from(["on", "part", "sdp", "text", "place", "room", "answers"]), VALUES
)
MESSAGES = st.lists(
    st.binary(max_size=30)
    | st.text(max_size=60)
    | MEET.map(json.dumps)
    | st.tuples(st.sampled_from(KINDS), OBJECTS).map(
        lambda found: json.dumps({**found[1], "type": found[0]})
    ),
    max_size=12,
)


def quietly(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what will be told of exceptions that nobody handled."""
    complaints: list[str] = []

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        complaints.append(str(context))

    asyncio.get_running_loop().set_exception_handler(handle)
    caplog.set_level(logging.WARNING)
    return complaints


async def throw(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError, TimeoutError):
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(0.02):
            while await reader.read(4096):
                pass
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests=REQUESTS)
def test_any_requests_leave_the_server_working(
    caplog: pytest.LogCaptureFixture, requests: list[bytes]
) -> None:
    async def run() -> None:
        complaints = quietly(caplog)
        async with serving() as server, Client(server) as client:
            server._requests = TokenBucket(Rate(1e6, 1e6))
            here = f"127.0.0.1:{server.port}".encode()
            await asyncio.gather(
                *(throw(server.port, data.replace(b"HERE", here)) for data in requests)
            )
            assert (await client.session()).status == 200
        assert complaints == []

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(said=MESSAGES)
def test_any_messages_leave_the_server_working(
    caplog: pytest.LogCaptureFixture, said: list[bytes | str]
) -> None:
    async def run() -> None:
        complaints = quietly(caplog)
        async with serving() as server, Client(server) as client:
            wire = await client.wire()
            for message in said:
                with suppress(ConnectionError):
                    if isinstance(message, str):
                        await wire.send_str(message.encode("utf-8", "replace").decode())
                    else:
                        await wire.send_bytes(message)
            await wire.close()
            again = await client.wire()
            await client.hear(again, lambda found: found["type"] == "state")
            await again.close()
        assert complaints == []
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == []


def test_the_limits_are_there() -> None:
    assert module._GATE.connections <= 50
    assert module._BODY <= 4096
