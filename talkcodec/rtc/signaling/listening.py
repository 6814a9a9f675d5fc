# SPDX-License-Identifier: Apache-2.0
"""An aiohttp application behind a gate: what both of our HTTP servers need."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import ssl
from pathlib import Path
from typing import Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from talkcodec.errors import InputError
from talkcodec.rtc.signaling.gate import Gate, GateLimits
from talkcodec.rtc.signaling.protocol import MAX_MESSAGE

#: Seconds that a connection has to send its request's head, or to be used again.
HEAD_PATIENCE = 10.0

#: Bytes of a request line or a header, and headers of a request.
_MAX_LINE, _MAX_HEADERS = 4096, 50

#: TCP connections that the system holds before we accept them.
_BACKLOG = 100


log = logging.getLogger(__name__)


class _Discreet(logging.Filter):
    """Lets aiohttp tell of exceptions of ours, without addresses, and of nobody's bad requests.

    It logs those with traceback, content and sender: anybody could fill the disk with them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        record.msg, record.args = f"expected no exception here, found {type(error).__name__}", ()
        return error is not None and not isinstance(error, HttpProcessingError)


log.addFilter(_Discreet())


class Listening:
    """A server that listens. Make it with ``await Listening.open(...)``."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server, gate: Gate) -> None:
        self.gate = gate
        self._runner = runner
        self._server = server

    @classmethod
    async def open(
        cls,
        app: web.Application,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        limits: GateLimits | None = None,
        patience: float = HEAD_PATIENCE,
    ) -> Self:
        """Listen at ``host:port`` (port 0: any).

        Raises:
            InputError: nothing can listen there.
        """
        runner = web.AppRunner(
            app,
            access_log=None,  # nothing of what passes here is written down
            logger=log,
            keepalive_timeout=patience,
            lingering_time=1.0,
            shutdown_timeout=1.0,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
        )
        await runner.setup()
        made = runner.server
        if made is None:  # pragma: no cover  setup has just made it
            raise InputError("expected a server, found none")
        gate = Gate(limits or GateLimits(), made)
        try:
            server = await asyncio.get_running_loop().create_server(
                gate,
                host,
                port,
                ssl=tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=patience if tls else None,
            )
        except OSError as error:
            await runner.cleanup()
            raise InputError(
                f"expected an address to listen at, found {host}:{port}: {error}"
            ) from None
        return cls(runner, server, gate)

    @property
    def port(self) -> int:
        """The port it listens at."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Listen no more and end all connections; may be called again."""
        self._server.close()
        await self._runner.cleanup()


def new_app() -> web.Application:
    """Return an application that takes bodies of a message's size at most."""
    return web.Application(client_max_size=MAX_MESSAGE)


def authorised(request: web.BaseRequest, token: str | None) -> bool:
    """Return whether ``request`` carries the bearer ``token``, if one is needed (RFC 6750)."""
    if token is None:
        return True
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and same


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``: an address, or a name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS context of a server. Raises ``InputError`` for files that are none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"expected a certificate and its key in PEM, found {certificate} and {key}: {error}"
        ) from None
    return context
