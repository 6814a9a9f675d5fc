# SPDX-License-Identifier: Apache-2.0
"""The HTTP way to meet, with our client and with anybody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from talkcodec.errors import InputError, SignalingError
from talkcodec.rtc.guard import MAX_CHARACTERS
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.signaling.protocol import Answer, Bye, Offer, Ready
from talkcodec.rtc.signaling.whip import REQUESTS, WhipClient, WhipConfig, WhipServer

HOST = "127.0.0.1"
TOKEN = "open-sesame"  # noqa: S105
SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def server() -> AsyncIterator[WhipServer]:
    server = await WhipServer.open(HOST, 0, token=TOKEN, patience=5.0)
    yield server
    await server.close()


def url(server: WhipServer) -> str:
    return f"http://{HOST}:{server.listening.port}/"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


@pytest.fixture(scope="module")
def offer() -> str:
    async def make() -> str:
        peer = Peer(lambda _channel, _data: None)
        sdp = await peer.offer()
        await peer.close()
        return sdp

    return asyncio.run(make())


async def answering(server: WhipServer, times: int = 1) -> None:
    """Answer ``times`` offers by their attempts."""
    for _ in range(times):
        message = await server.receive()
        assert isinstance(message, Offer)
        await server.send(Answer(f"answer {message.attempt}", message.attempt))


async def test_our_client_meets_our_server(server: WhipServer, offer: str) -> None:
    client = WhipClient(WhipConfig(url(server), TOKEN))
    assert (client.offers, server.offers) == (True, False)
    assert await client.receive() == Ready()
    task = asyncio.create_task(answering(server, 2))
    await client.send(Offer(offer, 1))
    assert await client.receive() == Answer("answer 1", 1)
    await client.send(Offer(offer, 2))  # the connection was lost: the session goes on
    assert await client.receive() == Answer("answer 2", 2)
    await task
    await client.close()
    assert await server.receive() == Bye()


async def test_the_exchange_is_shaped_like_rfc_9725(
    server: WhipServer, http: aiohttp.ClientSession, offer: str
) -> None:
    task = asyncio.create_task(answering(server))
    async with http.options(url(server)) as response:
        assert (response.status, response.headers["Accept-Post"]) == (200, "application/sdp")
    async with http.post(url(server), data=offer, headers=SDP) as response:
        assert response.status == 201
        assert response.content_type == "application/sdp"
        assert await response.text() == "answer 1"
        place = url(server).rstrip("/") + response.headers["Location"]
    await task
    async with http.post(url(server), data=offer, headers=SDP) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "30")
    async with http.delete(place) as response:
        assert response.status == 200
    async with http.delete(place) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "", "v=0", {"Content-Type": "text/plain"}, 415),
        ("POST", "", "", SDP, 400),
        ("POST", "", "hello", SDP, 400),
        ("POST", "", "v=0\r\n" + "a=x\r\n" * 600, SDP, 400),
        ("POST", "", "v=0\r\n\x1b[2J", SDP, 400),
        ("POST", "", "v=0" + "x" * (2 * MAX_CHARACTERS), SDP, 413),
        ("POST", "", "v=0", SDP | {"Authorization": "Bearer wrong"}, 401),
        ("POST", "", "v=0", SDP | {"Authorization": "Basic open-sesame"}, 401),
        ("GET", "", "", {}, 405),
        ("PATCH", "session/unknown", "v=0", SDP, 404),
        ("DELETE", "session/%C3%A9", "", {}, 404),
        ("DELETE", "session/unknown", "", {}, 404),
        ("PUT", "elsewhere", "", {}, 404),
    ],
)
async def test_bad_requests_are_the_clients_fault(
    server: WhipServer,
    http: aiohttp.ClientSession,
    method: str,
    path: str,
    body: str,
    headers: dict[str, str],
    status: int,
) -> None:
    async with http.request(method, url(server) + path, data=body, headers=headers) as response:
        assert response.status == status
        assert (await response.text()).count("\n") <= 1
    assert server._session is None


async def test_an_offer_nobody_answers_is_given_up(offer: str) -> None:
    server = await WhipServer.open(HOST, 0, patience=0.05)
    async with (
        aiohttp.ClientSession() as http,
        http.post(url(server), data=offer, headers=SDP) as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
    await server.close()


async def test_requests_of_one_address_are_rationed(
    server: WhipServer, http: aiohttp.ClientSession
) -> None:
    statuses = []
    for _ in range(int(REQUESTS.burst) + 5):
        async with http.delete(url(server) + "session/guess") as response:
            statuses.append(response.status)
    assert statuses.count(404) in {REQUESTS.burst, REQUESTS.burst + 1}
    assert statuses[-1] == 429


async def test_a_wrong_answer_is_told_in_one_line(server: WhipServer, offer: str) -> None:
    for config, found in (
        (WhipConfig(url(server), "wrong"), "found HTTP 401"),
        (WhipConfig(url(server) + "nowhere", TOKEN), "found HTTP 404"),
        (WhipConfig("http://127.0.0.1:9/", TOKEN, patience=2.0), "expected an answer of"),
    ):
        client = WhipClient(config)
        with pytest.raises(SignalingError, match=found) as caught:
            await client.send(Offer(offer, 1))
        assert "\n" not in str(caught.value)
        await client.close()
    with pytest.raises(InputError, match="expected a URL to POST to"):
        WhipClient(WhipConfig("http://127.0.0.1:99999/"))
