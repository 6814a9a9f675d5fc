# SPDX-License-Identifier: Apache-2.0
"""What is said while two ends of a call meet, and the protocol that every way of saying it obeys.

Descriptions travel whole, with all their candidates: a call needs one offer and one answer, and
whoever carries them needs no memory. A message is a JSON object of at most ``MAX_MESSAGE`` bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, get_args

from talkcodec.errors import SignalingError
from talkcodec.rtc.guard import MAX_CHARACTERS

#: Bytes of a message: a description and what JSON adds to it.
MAX_MESSAGE = MAX_CHARACTERS + 4_000

_MAX_ATTEMPT = 65_535
_MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class Offer:
    """A session description to be answered. ``attempt`` grows with every new one, from 1."""

    name: ClassVar[str] = "offer"
    sdp: str
    attempt: int = 1

    def __post_init__(self) -> None:
        _description(self.sdp, self.attempt)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the offer with the same ``attempt``."""

    name: ClassVar[str] = "answer"
    sdp: str
    attempt: int = 1

    def __post_init__(self) -> None:
        _description(self.sdp, self.attempt)


@dataclass(frozen=True, slots=True)
class Renew:
    """The connection is lost: the side that offers is asked for a new offer.

    ``proof``: that it is asked by whom the connection was with; see ``binding.Continuity``.
    """

    name: ClassVar[str] = "renew"
    proof: str = ""

    def __post_init__(self) -> None:
        _text("proof", self.proof, 0, _MAX_TEXT)


@dataclass(frozen=True, slots=True)
class Bye:
    """The call is over. ``reason``: for people, at most 120 characters."""

    name: ClassVar[str] = "bye"
    reason: str = ""

    def __post_init__(self) -> None:
        _text("reason", self.reason, 0, _MAX_TEXT)


@dataclass(frozen=True, slots=True)
class Ready:
    """The other side is there to be offered to. A rendezvous server says it, or the way itself."""

    name: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class Create:
    """To a rendezvous server: open a room."""

    name: ClassVar[str] = "create"


@dataclass(frozen=True, slots=True)
class Join:
    """To a rendezvous server: take a seat. ``token``: of the seat, when coming back; else empty."""

    name: ClassVar[str] = "join"
    room: str
    token: str = ""

    def __post_init__(self) -> None:
        _text("room", self.room, 1, _MAX_TEXT)
        _text("token", self.token, 0, _MAX_TEXT)


@dataclass(frozen=True, slots=True)
class Seated:
    """From a rendezvous server: the room's code, the seat's secret token, who offers."""

    name: ClassVar[str] = "seated"
    room: str
    token: str
    offers: bool

    def __post_init__(self) -> None:
        _text("room", self.room, 1, _MAX_TEXT)
        _text("token", self.token, 1, _MAX_TEXT)
        if type(self.offers) is not bool:
            raise ValueError(f"expected offers true or false, found {self.offers!r:.40}")


@dataclass(frozen=True, slots=True)
class Refused:
    """From a rendezvous server: why it ends the connection. ``retry``: seconds until it may help
    to come back, 0 when it will not.
    """

    name: ClassVar[str] = "refused"
    reason: str
    retry: int = 0

    def __post_init__(self) -> None:
        _text("reason", self.reason, 0, _MAX_TEXT)
        _integer("retry", self.retry, 0, 86_400)


Message = Offer | Answer | Renew | Bye | Ready | Create | Join | Seated | Refused

#: What one end may tell the other; the rest is between an end and a server.
PEER_MESSAGES = (Offer, Answer, Renew, Bye)

_TYPES: dict[str, type[Message]] = {kind.name: kind for kind in get_args(Message)}


class Signaling(Protocol):
    """A way to the other end. All methods belong to the event loop's thread.

    ``offers``: whether this end makes the offers; known once opened. ``patience``: seconds that
    an offer may take to be answered. ``lasts``: whether it can carry another offer later, when a
    connection was lost.
    """

    @property
    def offers(self) -> bool: ...

    @property
    def patience(self) -> float: ...

    @property
    def lasts(self) -> bool: ...

    async def send(self, message: Message) -> None:
        """Tell the other end. Raises ``SignalingError`` when it cannot be told."""

    async def receive(self) -> Message:
        """Wait for the next message: ``Ready`` or one of ``PEER_MESSAGES``.

        Raises ``SignalingError`` when none can come any more.
        """

    async def close(self) -> None:
        """Leave; may be called again."""


def encode(message: Message) -> str:
    """Return the JSON object of ``message``, in one line."""
    content = {field.name: getattr(message, field.name) for field in fields(message)}
    return json.dumps({"type": message.name, **content}, separators=(",", ":"))


def decode(text: str) -> Message:
    """Return the message of a JSON object. Raises ``SignalingError`` for anything else."""
    if len(text) > MAX_MESSAGE:
        raise SignalingError(
            f"expected a message of {MAX_MESSAGE} bytes at most, found {len(text)}"
        )
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise SignalingError(f"expected a JSON object, found {text[:20]!r}") from None
    if not isinstance(content, dict):
        raise SignalingError(f"expected a JSON object, found {text[:20]!r}")
    name = content.pop("type", None)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SignalingError(f"expected a type of {sorted(_TYPES)}, found {str(name)[:20]!r}")
    expected = {field.name for field in fields(kind)}
    if set(content) != expected:
        raise SignalingError(f"expected {name} with {sorted(expected)}, found other fields")
    try:
        return kind(**content)
    except ValueError as error:
        raise SignalingError(str(error)) from error


def _description(sdp: object, attempt: object) -> None:
    if not isinstance(sdp, str) or not 1 <= len(sdp) <= MAX_CHARACTERS or not sdp.isascii():
        raise ValueError(f"expected sdp of 1 to {MAX_CHARACTERS} ASCII characters")
    _integer("attempt", attempt, 1, _MAX_ATTEMPT)


def _text(name: str, value: object, least: int, most: int) -> None:
    # Texts reach people's terminals, where an escape sequence could do things.
    printable = isinstance(value, str) and value.isascii() and value.isprintable()
    if not isinstance(value, str) or not printable or not least <= len(value) <= most:
        raise ValueError(f"expected {name} of {least} to {most} printable ASCII characters")


def _integer(name: str, value: object, least: int, most: int) -> None:
    # bool is an int to Python, and not to the protocol.
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"expected {name} from {least} to {most}, found {str(value)[:40]}")
