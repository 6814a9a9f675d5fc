# SPDX-License-Identifier: Apache-2.0
"""STUN and TURN servers: how long they are waited for, and which of them gave nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

#: Seconds that servers have for their answers. Each end of a call waits in its turn, for every
#: connection it makes; a request that was lost is repeated after 0.5 and after 1.5 s.
PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server: ``urls`` as in RFC 7064 and 7065, and how to log in to it."""

    urls: str
    username: str | None = None
    credential: str | None = None


def hasten(connection: RTCPeerConnection) -> None:
    """Let ``connection``, whose channels are there, wait ``PATIENCE`` for servers.

    aioice waits 5 s, and aiortc has no setting for it: without the attributes that this reaches
    for, so be it. ``tests/rtc/test_turn.py`` fails then.
    """
    sctp = connection.sctp
    ice = getattr(sctp.transport.transport, "_connection", None) if sctp is not None else None
    gather = getattr(ice, "get_component_candidates", None)
    if gather is not None:
        # Set on the instance, as aioice calls it there.
        setattr(ice, gather.__name__, partial(gather, timeout=PATIENCE))


def unheard(servers: Iterable[IceServer], sdp: str) -> list[str]:
    """Return the URLs of ``servers`` that contributed nothing to our description ``sdp``.

    Which of both it was, out of reach or an unknown user, aioice keeps to itself.
    """
    return [
        server.urls
        for server in servers
        if f" typ {'srflx' if server.urls.startswith('stun') else 'relay'}" not in sdp
    ]
