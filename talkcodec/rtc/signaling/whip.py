# SPDX-License-Identifier: Apache-2.0
"""Meeting by one HTTP POST, shaped like WHIP (RFC 9725): both its client and the end that answers.

================ ============================ =====================================================
POST /            offer, ``application/sdp``  201, answer, ``Location`` of the session
PATCH session     offer, ``application/sdp``  200, answer: the connection anew, the session goes on
DELETE session                                200: the call is over
OPTIONS /                                     200, ``Accept-Post: application/sdp``
================ ============================ =====================================================

Where it differs: RFC 9725's PATCH carries a fragment for trickled candidates or an ICE restart,
which aiortc cannot do; ours carries a whole new offer. Media flows both ways. Candidates never
trickle. There is one session at a time: another POST gets 503 and ``Retry-After``.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from talkcodec.errors import InputError, SignalingError
from talkcodec.rtc.guard import MAX_CHARACTERS, screen
from talkcodec.rtc.limits import Buckets, Rate
from talkcodec.rtc.signaling.gate import GateLimits, origin
from talkcodec.rtc.signaling.inbox import Inbox
from talkcodec.rtc.signaling.listening import HEAD_PATIENCE, Listening, authorised, new_app
from talkcodec.rtc.signaling.protocol import Answer, Bye, Message, Offer, Ready
from talkcodec.rtc.signaling.room import client_tls

CONTENT_TYPE = "application/sdp"

#: Requests of one address to the end that answers.
REQUESTS = Rate(per_second=0.5, burst=20)

#: A person may have to be asked first; RFC 9725 names no limit.
ANSWER_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class WhipConfig:
    """``url``: where to POST. ``token``: bearer token, if one is needed. ``authority``: file of
    certificates to trust instead of the system's. ``patience``: seconds for the answer.
    """

    url: str
    token: str | None = None
    authority: Path | None = None
    patience: float = ANSWER_PATIENCE


class WhipClient:
    """The end that offers by POST; see ``protocol.Signaling``."""

    def __init__(self, config: WhipConfig) -> None:
        self._config = config
        try:
            self._url = URL(config.url)
        except ValueError as error:
            raise InputError(f"expected a URL to POST to, found {config.url}: {error}") from None
        self._http = aiohttp.ClientSession(
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=config.patience),
            connector=aiohttp.TCPConnector(ssl=client_tls(config.authority)),
        )
        self._session: URL | None = None
        self._inbox = Inbox()
        self._inbox.put(Ready())

    @property
    def offers(self) -> bool:
        return True

    @property
    def patience(self) -> float:
        return self._config.patience

    @property
    def lasts(self) -> bool:
        return True

    async def send(self, message: Message) -> None:
        if isinstance(message, Offer):
            self._inbox.put(Answer(await self._post(message.sdp), message.attempt))
        elif isinstance(message, Bye):
            await self._delete()

    async def receive(self) -> Message:
        return await self._inbox.take()

    async def close(self) -> None:
        await self._delete()
        await self._http.close()

    async def _post(self, sdp: str) -> str:
        """Return the answer to ``sdp``, in a new session or in the one there is."""
        method, url, good = "POST", self._url, 201
        if self._session is not None:
            method, url, good = "PATCH", self._session, 200
        headers = self._headers() | {"Content-Type": CONTENT_TYPE}
        try:
            async with self._http.request(
                method, url, data=sdp.encode(), headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(MAX_CHARACTERS + 1)
                if response.status != good:
                    raise SignalingError(self._found(f"HTTP {response.status} {body[:80]!r}"))
                if response.content_type != CONTENT_TYPE:
                    raise SignalingError(self._found(response.content_type[:40]))
                place = response.headers.get("Location")
                if place is not None:
                    self._session = self._own(url.join(URL(place)), url)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise SignalingError(self._found(str(error)[:200] or type(error).__name__)) from None
        return body.decode("ascii", "replace")

    def _own(self, session: URL, url: URL) -> URL:
        """Refuse to be sent, with our token, to another server."""
        if session.origin() != url.origin():
            raise SignalingError(self._found(f"a session at {session.host}"))
        return session

    async def _delete(self) -> None:
        """End the session, if there is one and its server still listens."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with (
                    asyncio.timeout(2.0),
                    self._http.delete(session, headers=self._headers()),
                ):
                    pass

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._config.token}"} if self._config.token else {}

    def _found(self, what: str) -> str:
        return f"expected an answer of {self._config.url}, found {what}"


class WhipServer:
    """The end that answers POSTs; see ``protocol.Signaling``.

    ::

        signaling = await WhipServer.open("127.0.0.1", 8080, token="...")
    """

    def __init__(self, token: str | None, patience: float) -> None:
        self._token = token
        self._patience = patience
        self._inbox = Inbox()
        self._session: str | None = None
        self._attempt = 0
        self._answer: asyncio.Future[str] | None = None
        self._requests = Buckets(REQUESTS, 1000)
        self._listening: Listening | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        patience: float = ANSWER_PATIENCE,
        head_patience: float = HEAD_PATIENCE,
    ) -> Self:
        """Listen at ``host:port`` (port 0: any). Raises ``InputError`` where that is impossible."""
        server = cls(token, patience)
        app = new_app()
        app.router.add_route("OPTIONS", "/", server._options)
        app.router.add_post("/", server._post)
        app.router.add_patch("/session/{session}", server._patch)
        app.router.add_delete("/session/{session}", server._delete)
        server._listening = await Listening.open(
            app, host, port, tls=tls, limits=GateLimits(50, 10), patience=head_patience
        )
        return server

    @property
    def listening(self) -> Listening:
        """The socket and its gate."""
        if self._listening is None:
            raise RuntimeError("expected an open server, found a closed one")
        return self._listening

    @property
    def offers(self) -> bool:
        return False

    @property
    def patience(self) -> float:
        return self._patience

    @property
    def lasts(self) -> bool:
        return True

    async def send(self, message: Message) -> None:
        if isinstance(message, Answer) and message.attempt == self._attempt:
            if self._answer is None or self._answer.done():
                raise SignalingError("expected somebody to wait for the answer, found nobody")
            self._answer.set_result(message.sdp)

    async def receive(self) -> Message:
        return await self._inbox.take()

    async def close(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()
        await self.listening.close()

    async def _options(self, request: web.Request) -> web.Response:
        self._admit(request)
        return web.Response(headers={"Accept-Post": CONTENT_TYPE})

    async def _post(self, request: web.Request) -> web.Response:
        self._admit(request)
        offer = await self._offer(request)
        if self._session is not None:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "30"}, text="in a call\n")
        self._session = secrets.token_urlsafe(16)
        try:
            answer = await self._ask(offer)
        except web.HTTPException:
            self._session = None  # nobody knows it
            raise
        headers = {"Location": f"/session/{self._session}"}
        return web.Response(status=201, text=answer, content_type=CONTENT_TYPE, headers=headers)

    async def _patch(self, request: web.Request) -> web.Response:
        self._admit(request)
        self._check_session(request)
        answer = await self._ask(await self._offer(request))
        return web.Response(text=answer, content_type=CONTENT_TYPE)

    async def _delete(self, request: web.Request) -> web.Response:
        self._admit(request)
        self._check_session(request)
        self._session = None
        self._inbox.put(Bye())
        return web.Response()

    def _admit(self, request: web.Request) -> None:
        now = asyncio.get_running_loop().time()
        if not self._requests.take(origin(request.remote), now):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "10"})
        if not authorised(request, self._token):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})

    def _check_session(self, request: web.Request) -> None:
        named = request.match_info["session"].encode()
        if self._session is None or not secrets.compare_digest(named, self._session.encode()):
            raise web.HTTPNotFound

    @staticmethod
    async def _offer(request: web.Request) -> str:
        """Return the description in the body, screened."""
        if request.content_type != CONTENT_TYPE:
            raise web.HTTPUnsupportedMediaType(headers={"Accept-Post": CONTENT_TYPE})
        try:
            # A body that trickles in is as good as none.
            body = await asyncio.wait_for(request.read(), HEAD_PATIENCE)
            return screen(body.decode("ascii"))
        except OSError:  # too slow, or gone
            raise web.HTTPRequestTimeout from None
        except (UnicodeDecodeError, SignalingError) as error:
            raise web.HTTPBadRequest(text=f"{str(error)[:200]!a}\n") from None

    async def _ask(self, offer: str) -> str:
        """Let whoever receives answer ``offer``."""
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()  # an offer that its sender has given up on
        self._attempt = self._attempt % 65_535 + 1
        self._answer = mine = asyncio.get_running_loop().create_future()
        self._inbox.put(Offer(offer, self._attempt))
        try:
            return await asyncio.wait_for(mine, self._patience)
        except (TimeoutError, asyncio.CancelledError):
            if not mine.cancelled():
                raise  # the server itself is being closed, or the client has gone
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from None
