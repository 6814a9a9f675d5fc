# SPDX-License-Identifier: Apache-2.0
"""A served page, and a page that is none: what tests of the server share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from talkcodec.rtc.signaling.choose import MeetingPlace
from talkcodec.web.caller import CallPlan
from talkcodec.web.door import PROTOCOL
from talkcodec.web.server import HOST, PageServer

PATIENCE = 60.0


@asynccontextmanager
async def serving(place: str = "paste") -> AsyncIterator[PageServer]:
    server = await PageServer.open(CallPlan(MeetingPlace(place)), 0)
    try:
        yield server
    finally:
        await server.close()


class Client:
    """Does over HTTP what ``program.js`` does. Use ``async with``."""

    def __init__(self, server: PageServer) -> None:
        self.base = f"http://{HOST}:{server.port}"
        self.token = server.door.token
        self.http = aiohttp.ClientSession(trust_env=False)
        self.heard: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def session(self, token: str | None = None, **headers: str) -> aiohttp.ClientResponse:
        """POST the token; the answer is read and closed."""
        response = await self.http.post(
            f"{self.base}/session",
            json={"token": self.token if token is None else token},
            headers={"Origin": self.base} | headers,
        )
        await response.read()
        return response

    async def wire(self, session: str | None = None) -> aiohttp.ClientWebSocketResponse:
        """Open the WebSocket, with a session of its own unless one is given."""
        if session is None:
            session = (await (await self.session()).json())["session"]
        return await self.http.ws_connect(
            f"{self.base}/wire",
            protocols=[PROTOCOL, f"session.{session}"],
            headers={"Origin": self.base},
        )

    async def hear(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        fits: Callable[[dict[str, Any]], bool],
    ) -> dict[str, Any]:
        """Return the next message that fits."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message: dict[str, Any] = await socket.receive_json()
                self.heard.append(message)
                if fits(message):
                    return message
