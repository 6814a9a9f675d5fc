# SPDX-License-Identifier: Apache-2.0
"""What a page may say to the program: JSON objects, bounded and checked before anything is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args

from talkcodec.errors import InputError
from talkcodec.rtc.guard import MAX_CHARACTERS
from talkcodec.rtc.signaling.paste import MAX_LINE
from talkcodec.rtc.signaling.protocol import MAX_MESSAGE

#: Characters of an address of a server, and of a room's code.
MAX_PLACE, MAX_ROOM = 300, 80

#: The largest loss that the slider goes to.
MAX_LOSS = 0.6


@dataclass(frozen=True, slots=True)
class Media:
    """The page's session description: its camera and microphone, and room for our picture."""

    name: ClassVar[str] = "media"
    sdp: str


@dataclass(frozen=True, slots=True)
class Meet:
    """Begin a call; as ``signaling.choose.MeetingPlace`` has it, "" is no room."""

    name: ClassVar[str] = "meet"
    place: str
    room: str
    answers: bool


@dataclass(frozen=True, slots=True)
class Line:
    """The line of the other side that somebody pasted."""

    name: ClassVar[str] = "line"
    text: str


@dataclass(frozen=True, slots=True)
class Leave:
    """End the call, or the waiting for one."""

    name: ClassVar[str] = "leave"


@dataclass(frozen=True, slots=True)
class Mute:
    """Send no sound, or sound again."""

    name: ClassVar[str] = "mute"
    on: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Write into synthesised pictures that they are, or not."""

    name: ClassVar[str] = "mark"
    on: bool


@dataclass(frozen=True, slots=True)
class Video:
    """Send ordinary video, or faces as motion where that can serve."""

    name: ClassVar[str] = "video"
    on: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """Lose this part of all datagrams, both ways: 0 to ``MAX_LOSS``."""

    name: ClassVar[str] = "loss"
    part: float


Message = Media | Meet | Line | Leave | Mute | Mark | Video | Loss

_TYPES: dict[str, type[Message]] = {kind.name: kind for kind in get_args(Message)}


def _text(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= most and value.isascii()


def _printable(most: int) -> Callable[[Any], bool]:
    fits = _text(most)
    return lambda value: fits(value) and value.isprintable()


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _part(value: Any) -> bool:
    # bool is an int to Python, and no part to us; NaN is in no range.
    return type(value) in {int, float} and 0 <= value <= MAX_LOSS


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "sdp": _text(MAX_CHARACTERS),
    "place": _printable(MAX_PLACE),
    "room": _printable(MAX_ROOM),
    "text": _printable(MAX_LINE),
    "answers": _flag,
    "on": _flag,
    "part": _part,
}


def decode(text: str) -> Message:
    """Return the message of a JSON object. Raises ``InputError`` for anything else."""
    if len(text) > MAX_MESSAGE:
        raise InputError(f"expected a message of {MAX_MESSAGE} characters, found {len(text)}")
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"expected a JSON object, found {text[:20]!r}") from None
    name = content.pop("type", None) if isinstance(content, dict) else None
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"expected a type of {', '.join(_TYPES)}, found {str(name)[:20]!r}")
    if set(content) != {field.name for field in fields(kind)}:
        raise InputError(f"expected the fields of {name}, found others")
    for field, value in content.items():
        if not _FIELDS[field](value):
            raise InputError(f"expected a {field} that fits, found {str(value)[:40]!r}")
    return kind(**content)
