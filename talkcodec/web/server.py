# SPDX-License-Identifier: Apache-2.0
"""Serves the page to a browser of this machine, and carries what the two tell each other.

============= ==================================================================================
GET /, /FILE  the page and its parts; they hold nothing that is secret
POST /session ``{"token": ...}`` → ``{"session": ...}``; the session before it is over
GET /wire     WebSocket: JSON objects of ``messages.py`` in, ``state``, ``figures``, ``media`` and
              ``trouble`` out; one at a time, a newer one takes its place
============= ==================================================================================
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from aiohttp import WSCloseCode, WSMsgType, web

from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import InputError, TalkcodecError
from talkcodec.rtc.limits import Rate, TokenBucket
from talkcodec.rtc.signaling.gate import GateLimits
from talkcodec.rtc.signaling.listening import HEAD_PATIENCE, Listening
from talkcodec.rtc.signaling.protocol import MAX_MESSAGE
from talkcodec.web import messages
from talkcodec.web.caller import Caller, CallPlan
from talkcodec.web.door import PROTOCOL, Door, headers
from talkcodec.web.figures import H264_PAYLOAD, H264_SOURCE, H264_WIRE
from talkcodec.web.stage import Stage

#: The only address that is listened at: nobody else's machine has business here.
HOST = "127.0.0.1"

PAGE = Path(__file__).parent / "page"

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

#: Requests of everybody; attempts to open a session; what one page says.
_REQUESTS, _ATTEMPTS, _SAYINGS = Rate(20, 200), Rate(0.5, 20), Rate(20, 100)

#: Connections of everybody: a browser keeps six.
_GATE = GateLimits(connections=40, per_address=40)

#: Bytes of a request's body.
_BODY = 4096

#: Seconds between two tables of figures, that a page may take to read what it is told, and that a
#: call goes on without a page, as while it is loaded again.
_EVERY, _PATIENCE, _ABSENCE = 1.0, 5.0, 20.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageServer:
    """Use ``await PageServer.open(plan, port)``; ``address`` is what to open in a browser."""

    def __init__(self, plan: CallPlan, clock: Clock) -> None:
        self.door = Door()
        self.stage = Stage(clock, self._troubled)
        self.caller = Caller(plan, self.stage, clock, self._changed)
        self._plan = plan
        self._clock = clock
        self._requests, self._attempts = TokenBucket(_REQUESTS), TokenBucket(_ATTEMPTS)
        self._files = _load()
        self._socket: web.WebSocketResponse | None = None
        self._news = asyncio.Event()
        self._absence: asyncio.Task[None] | None = None
        self._listening: Listening | None = None

    @classmethod
    async def open(cls, plan: CallPlan, port: int, *, clock: Clock | None = None) -> Self:
        """Listen at ``port`` (0: any). Raises ``InputError`` where that is impossible."""
        server = cls(plan, clock or SystemClock())
        app = web.Application(client_max_size=_BODY, middlewares=[server._guard])
        app.on_response_prepare.append(server._dress)
        app.router.add_post("/session", server._open_session)
        app.router.add_get("/wire", server._talk)
        app.router.add_get("/{file:[a-z0-9.]*}", server._serve)
        server._listening = await Listening.open(app, HOST, port, limits=_GATE)
        server.door.stands_at(server._listening.port)
        return server

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._listening is None:
            raise RuntimeError("expected an open server, found a closed one")
        return self._listening.port

    @property
    def address(self) -> str:
        """What to open in a browser: secret, for it holds the token."""
        return f"http://{HOST}:{self.port}/#{self.door.token}"

    async def close(self) -> None:
        """End the call and let the page go; may be called again."""
        if self._absence is not None:
            self._absence.cancel()
        await self.caller.leave()
        await self.stage.close()
        if self._socket is not None:
            await _hang_up(self._socket, WSCloseCode.GOING_AWAY, "the program has ended")
        if self._listening is not None:
            await self._listening.close()

    # Every request.

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        sends = request.method != "GET" or request.path == "/wire"
        if not self.door.knows(request.headers, strict=sends):
            # 421: this server is not the one that was meant (RFC 9110 section 15.5.20).
            raise web.HTTPMisdirectedRequest(text="expected a request of our own page\n")
        if not self._requests.take(self._clock.now()):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "5"})
        return await handler(request)

    async def _dress(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers(self.port))
        response.headers.pop("Server", None)

    async def _serve(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info["file"] or "index.html")
        if found is None:
            raise web.HTTPNotFound
        kind, body = found
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _open_session(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        if not self._attempts.take(self._clock.now()):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "5"})
        try:
            # A body that trickles in is as good as none.
            body = json.loads(await asyncio.wait_for(request.read(), HEAD_PATIENCE))
        except OSError:
            raise web.HTTPRequestTimeout from None
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest from None
        token = body.get("token") if isinstance(body, dict) else None
        session = self.door.open(token) if isinstance(token, str) else None
        if session is None:
            raise web.HTTPForbidden(text="expected the token of the address that was printed\n")
        await self._replace(None)
        return web.json_response({"session": session})

    # The wire to the page.

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        if not self.door.admits(request.headers.get("Sec-WebSocket-Protocol", "")):
            raise web.HTTPForbidden(text="expected the session that is open\n")
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,), heartbeat=20.0, max_msg_size=MAX_MESSAGE, compress=False
        )
        await socket.prepare(request)
        await self._replace(socket)
        teller = asyncio.create_task(self._tell(socket))
        try:
            await self._listen(socket)
        finally:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)
            if self._socket is socket:
                self._socket = None
                self._absence = asyncio.create_task(self._miss())
        return socket

    async def _replace(self, socket: web.WebSocketResponse | None) -> None:
        """Talk to ``socket`` from now on, and to no other."""
        if self._absence is not None:
            self._absence.cancel()
        before, self._socket = self._socket, socket
        if before is not None:
            await _hang_up(before, WSCloseCode.POLICY_VIOLATION, "opened in another window")
        self._news.set()

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        sayings = TokenBucket(_SAYINGS)
        async for received in socket:
            if received.type is not WSMsgType.TEXT or not sayings.take(self._clock.now()):
                await _hang_up(socket, WSCloseCode.POLICY_VIOLATION, "expected fewer messages")
                return
            try:
                await self._obey(messages.decode(received.data), socket)
            except TalkcodecError as error:
                await self._send(socket, {"type": "trouble", "text": str(error)[:300]})

    async def _obey(self, message: messages.Message, socket: web.WebSocketResponse) -> None:
        caller = self.caller
        match message:
            case messages.Media(sdp):
                await self._send(socket, {"type": "media", "sdp": await self.stage.open(sdp)})
            case messages.Meet():
                await caller.meet(message)
            case messages.Line(text):
                caller.line(text)
            case messages.Leave():
                await caller.leave()
            case messages.Mute(on):
                caller.mute(on=on)
            case messages.Mark(on):
                caller.mark(on=on)
            case messages.Video(on):
                caller.video(on=on)
            case messages.Loss(part):
                caller.lose(float(part))

    async def _tell(self, socket: web.WebSocketResponse) -> None:
        """Tell the page how things stand: figures every second, the rest when it changes."""
        place = self._plan.place
        h264 = {"payload": H264_PAYLOAD, "wire": H264_WIRE, "source": H264_SOURCE}
        told = {"place": place.text, "room": place.room or "", "answers": place.answers}
        await self._send(socket, {"type": "hello", "h264": h264, **told})
        due = self._clock.now()
        while not socket.closed:
            self._news.clear()
            await self._send(socket, {"type": "state", **self.caller.state()})
            if self._clock.now() >= due:
                await self._send(socket, {"type": "figures", **self.caller.figures()})
                due = self._clock.now() + _EVERY
            # Not wait_for, which forgets a cancellation that comes with the news (bpo-37658).
            with suppress(TimeoutError):
                async with asyncio.timeout(due - self._clock.now()):
                    await self._news.wait()

    async def _send(self, socket: web.WebSocketResponse, content: dict[str, Any]) -> None:
        """Send; a page that does not read what it is sent is cut off."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await socket.send_str(json.dumps(content))
        except (TimeoutError, OSError, RuntimeError):
            await _hang_up(socket, WSCloseCode.POLICY_VIOLATION, "expected a reader")

    async def _miss(self) -> None:
        """End the call when no page comes back."""
        await asyncio.sleep(_ABSENCE)
        await self.caller.leave()
        await self.stage.close()

    def _troubled(self, text: str) -> None:
        self.caller.tell(text)

    def _changed(self) -> None:
        self._news.set()


async def _hang_up(socket: web.WebSocketResponse, code: int, reason: str) -> None:
    with suppress(Exception):
        async with asyncio.timeout(1.0):
            await socket.close(code=code, message=reason.encode())


def _load() -> dict[str, tuple[str, bytes]]:
    """Return the page's files by name, with their types: nothing else can ever be asked for."""
    files = {
        path.name: (_TYPES[path.suffix], path.read_bytes())
        for path in sorted(PAGE.iterdir())
        if path.suffix in _TYPES
    }
    if "index.html" not in files:
        raise InputError("expected the page in the package, found none")
    return files
