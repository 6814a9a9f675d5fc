# SPDX-License-Identifier: Apache-2.0
"""A served page, and a page that is none: what tests of the server share."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from talkcodec.rtc.signaling.choose import MeetingPlace
from talkcodec.web.caller import CallPlan
from talkcodec.web.door import PROTOCOL
from talkcodec.web.server import PageServer

#: Seconds for anything to happen, on a machine that does other things too.
PATIENCE = 90.0

_RUN = "from talkcodec.cli.main import app; app()"


@asynccontextmanager
async def serving(place: str = "paste") -> AsyncIterator[PageServer]:
    server = await PageServer.open(CallPlan(MeetingPlace(place)), 0)
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def program(*arguments: str, says: str) -> AsyncIterator[str]:
    """Run a talkcodec command until the end; yield what its line that fits ``says`` holds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN, *arguments, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while match := await process.stderr.readline():
                found = re.search(says, match.decode())
                if found:
                    break
            else:
                raise AssertionError(f"expected {says}, found an end")
        yield found[1]
        process.terminate()
        _, rest = await asyncio.wait_for(process.communicate(), PATIENCE)
        # aiortc may have told of tasks of its own that met a connection's end: no matter.
        assert process.returncode == 0, rest.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


class Client:
    """Does over HTTP what ``program.js`` does. Use ``async with``."""

    def __init__(self, server: PageServer | str) -> None:
        address = server if isinstance(server, str) else server.address
        self.base, _, self.token = address.partition("/#")
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
