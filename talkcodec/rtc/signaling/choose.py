# SPDX-License-Identifier: Apache-2.0
"""Which way of meeting a text like ``wss://example.org`` names, and STUN and TURN by their URLs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from talkcodec.errors import InputError
from talkcodec.rtc.ice import IceServer
from talkcodec.rtc.signaling.protocol import Signaling

_LISTEN = re.compile(r"listen:(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*)):(\d{1,5})")

#: Of RFC 7064 and 7065 what aiortc speaks: no STUN over TLS, TURN over TLS by TCP only, and names
#: or IPv4 addresses.
_HOST = r"[^\s?/@:\[\]]+(?::(?P<port>\d{1,5}))?"
_STUN = re.compile(rf"stun:{_HOST}")
_TURN = re.compile(rf"turn:{_HOST}(?:\?transport=(?:udp|tcp))?")
_TURNS = re.compile(rf"turns:{_HOST}(?:\?transport=tcp)?")


@dataclass(frozen=True, slots=True)
class MeetingPlace:
    """Where to meet.

    ``text``: ``paste``, ``ws://`` or ``wss://`` of a rendezvous server, ``http://`` or
    ``https://`` to POST to, ``listen:HOST:PORT`` to be POSTed to. ``room``: of a server; None
    opens one. ``answers``: with ``paste``, wait for the other side's line. ``token``: bearer
    token, ``authority``: certificates to trust instead of the system's.
    """

    text: str
    room: str | None = None
    answers: bool = False
    token: str | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        if self.room is not None and not self.text.startswith(("ws://", "wss://")):
            raise InputError(f"expected a rendezvous server for a room, found {self.text}")
        if self.answers and self.text != "paste":
            raise InputError(f"expected --answer with paste only, found it with {self.text}")


async def open_signaling(
    place: MeetingPlace,
    *,
    tell: Callable[[str], None],
    show: Callable[[str], None],
    source: int | None = None,
) -> Signaling:
    """Open the way that ``place`` names.

    ``tell`` is given what people want to know; ``show`` a line that they are to carry. ``source``:
    file descriptor from which the other side's lines come instead of standard input.

    Raises:
        InputError: the text names none.
        SignalingError: it cannot be opened.
    """
    text = place.text
    if text == "paste":
        from talkcodec.rtc.signaling.paste import PasteSignaling

        return PasteSignaling(offers=not place.answers, show=show, complain=tell, source=source)
    if text.startswith(("ws://", "wss://")):
        from talkcodec.rtc.signaling.room import RoomConfig, RoomSignaling

        config = RoomConfig(text, place.room, place.token, place.authority)
        room = await RoomSignaling.open(config)
        if place.room is None:
            tell(f"room: {room.room}")
        return room
    if text.startswith(("http://", "https://")):
        from talkcodec.rtc.signaling.whip import WhipClient, WhipConfig

        return WhipClient(WhipConfig(text, place.token, place.authority))
    return await _listen(place, tell)


async def _listen(place: MeetingPlace, tell: Callable[[str], None]) -> Signaling:
    from talkcodec.rtc.signaling.listening import is_loopback
    from talkcodec.rtc.signaling.whip import WhipServer

    match = _LISTEN.fullmatch(place.text)
    if match is None or int(match[3]) > 65535:
        raise InputError(
            "expected paste, ws://, wss://, http://, https:// or listen:HOST:PORT,"
            f" found {place.text}"
        )
    host = match[1] or match[2] or "127.0.0.1"
    server = await WhipServer.open(host, int(match[3]), token=place.token)
    name = f"[{host}]" if ":" in host else host
    tell(f"waiting for a POST at http://{name}:{server.listening.port}/")
    if not is_loopback(host):
        secret = "" if place.token is None else ", and the token,"
        tell(
            f"without TLS whoever is on the way can read and change what is posted{secret}:"
            " compare the three words, or listen at 127.0.0.1 behind a proxy with TLS"
        )
    return server


def ice_servers(
    stun: list[str], turn: str | None, user: str | None, password: str | None
) -> tuple[IceServer, ...]:
    """Return the servers that help through NATs; none named, none asked.

    Raises:
        InputError: a URL that is none, a second STUN server, which aiortc would not ask, or a TURN
            server without user and password.
    """
    for url in stun:
        if not _is_url(url, _STUN):
            raise InputError(f"expected stun:HOST[:PORT], found {url}")
    if len(stun) > 1:
        raise InputError(f"expected one --stun, found {len(stun)}")
    servers = [IceServer(url) for url in stun]
    if turn is None:
        if user is not None or password is not None:
            raise InputError("expected --turn with its user and password, found none")
        return tuple(servers)
    if not _is_url(turn, _TURN, _TURNS):
        raise InputError(
            "expected turn:HOST[:PORT][?transport=udp|tcp] or turns:HOST[:PORT], by name or IPv4"
            f" address, found {turn}"
        )
    if not user or not password:
        raise InputError(
            "expected --turn-user, and a password in --turn-password-file or"
            " TALKCODEC_TURN_PASSWORD"
        )
    return (*servers, IceServer(turn, user, password))


def _is_url(text: str, *kinds: re.Pattern[str]) -> bool:
    match = next((found for kind in kinds if (found := kind.fullmatch(text))), None)
    return match is not None and int(match["port"] or 1) in range(1, 65536)
