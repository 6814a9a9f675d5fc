# SPDX-License-Identifier: Apache-2.0
"""Who may talk to the program: the page that it served itself, to the person who started it.

Other people's pages in the same browser can send requests to any port of this machine, under any
name that they let point here. So each request must name this very address (``Host``, against DNS
rebinding) and, where a browser says where it comes from, come from here (``Origin``,
``Sec-Fetch-Site``). Other people on the same machine can send any request at all: they lack the
token, which stands in the fragment of the address that was printed, and is never sent but to be
exchanged for a session. A session is kept by the page and shown by each request, not by a cookie:
browsers send cookies to every port of a host.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

#: Of our WebSocket; what it carries beside is the session.
PROTOCOL = "talkcodec.1"
_SESSION = "session."

#: Names of this machine that a browser may know us by.
_NAMES = ("127.0.0.1", "localhost")

#: Everything that a page of ours may do. Scripts and styles come from files of ours alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " media-src 'self' blob:; connect-src 'self' {wires}; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


def headers(port: int) -> dict[str, str]:
    """Return what every answer of the server at ``port`` carries."""
    # Not every browser takes 'self' to include WebSockets.
    wires = " ".join(f"ws://{name}:{port}" for name in _NAMES)
    return {
        "Content-Security-Policy": POLICY.format(wires=wires),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
        "Cache-Control": "no-store",
    }


class Door:
    """``token``: opens sessions, as often as it is shown; a new one ends the one before."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._session = ""
        self._hosts: frozenset[str] = frozenset()

    def stands_at(self, port: int) -> None:
        """Note the port at which we listen."""
        self._hosts = frozenset(f"{name}:{port}" for name in _NAMES)

    def knows(self, found: Mapping[str, str], *, strict: bool) -> bool:
        """Return whether a request with headers ``found`` names us and comes from us.

        ``strict``: whether it must say where it comes from, as browsers do whenever a page sends
        something.
        """
        host = found.get("Host", "")
        if host not in self._hosts:
            return False
        origin = found.get("Origin")
        if origin is None:
            return not strict and found.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
        return origin == f"http://{host}"

    def open(self, token: str) -> str | None:
        """Return a new session, or None for a wrong token."""
        if not _same(token, self.token):
            return None
        self._session = secrets.token_urlsafe(32)
        return self._session

    def admits(self, protocols: str) -> bool:
        """Return whether a WebSocket that asks for ``protocols`` shows the session there is."""
        offered = [part.strip() for part in protocols.split(",")]
        shown = [part[len(_SESSION) :] for part in offered if part.startswith(_SESSION)]
        if not self._session or PROTOCOL not in offered or len(shown) != 1:
            return False
        return _same(shown[0], self._session)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
