# SPDX-License-Identifier: Apache-2.0
"""Messages between the two ends of a call, beside the stream (FORMAT.md section 10).

They are few, so they may be readable: a type byte and a msgpack map. What comes several times a
second is a ``PathReport``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args

import msgpack  # type: ignore[import-untyped]

from talkcodec.bitstream.wire import CONTROL, LIMITS, TICK_LIMIT, Limits
from talkcodec.errors import BitstreamError
from talkcodec.types import Mode

_U8, _U16, _U32 = 255, 2**16 - 1, 2**32 - 1
_HEADER_MOST, _REASON_MOST, _LIST_MOST = 64, 120, 255

#: Times of sound are below 2**52 microseconds, which is 142 years.
TIME_LIMIT = 1 << 52


@dataclass(frozen=True, slots=True)
class Hello:
    """What one end can do: format ``version``, 8-byte ``table_hash``, canvas ``sizes`` in
    pixels, picture ``codecs``.
    """

    name: ClassVar[str] = "hello"
    version: int
    table_hash: bytes
    sizes: tuple[int, ...]
    codecs: tuple[int, ...]

    def __post_init__(self) -> None:
        _integer("version", self.version, _U8)
        _bytes("table_hash", self.table_hash, 8, 8)
        _integers("sizes", self.sizes, 8, _U16)
        _integers("codecs", self.codecs, 8, _U8)


@dataclass(frozen=True, slots=True)
class Stream:
    """The stream header, in the bytes of its packet."""

    name: ClassVar[str] = "stream"
    header: bytes

    def __post_init__(self) -> None:
        _bytes("header", self.header, 1, _HEADER_MOST)


@dataclass(frozen=True, slots=True)
class Nack:
    """Chunks of a reference to send again; ``missing`` None: all of them."""

    name: ClassVar[str] = "nack"
    sequence: int
    missing: tuple[int, ...] | None

    def __post_init__(self) -> None:
        _integer("sequence", self.sequence, _U8)
        if self.missing is not None:
            _integers("missing", self.missing, _LIST_MOST, _U8)


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The reference ``sequence`` is in the bank."""

    name: ClassVar[str] = "acknowledge"
    sequence: int

    def __post_init__(self) -> None:
        _integer("sequence", self.sequence, _U8)


@dataclass(frozen=True, slots=True)
class RequestReference:
    """A key reference is needed: the receiver cannot continue from what it holds."""

    name: ClassVar[str] = "request_reference"


@dataclass(frozen=True, slots=True)
class Bye:
    """The end of the stream. ``reason``: for people, at most 120 characters."""

    name: ClassVar[str] = "bye"
    reason: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str) or len(self.reason) > _REASON_MOST:
            raise ValueError(f"expected a reason of {_REASON_MOST} characters, found {self.reason}")


@dataclass(frozen=True, slots=True)
class ModeChange:
    """From ``tick`` on the stream's pictures come as ``mode`` says; see ``types.Mode``."""

    name: ClassVar[str] = "mode"
    mode: Mode
    tick: int

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(f"expected a mode of {get_args(Mode)}, found {str(self.mode)[:40]}")
        _integer("tick", self.tick, TICK_LIMIT - 1)


@dataclass(frozen=True, slots=True)
class SoundTime:
    """Sound comes from now on; its packet ``packet`` was captured ``time_us`` microseconds after
    tick 0.
    """

    name: ClassVar[str] = "sound"
    packet: int
    time_us: int

    def __post_init__(self) -> None:
        _integer("packet", self.packet, _U32)
        _integer("time_us", self.time_us, TIME_LIMIT - 1)


@dataclass(frozen=True, slots=True)
class Mute:
    """No sound comes until the next ``SoundTime``."""

    name: ClassVar[str] = "mute"


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing, sent where there was nothing else to send: the path is open."""

    name: ClassVar[str] = "alive"


ControlMessage = (
    Hello
    | Stream
    | Nack
    | Acknowledge
    | RequestReference
    | Bye
    | ModeChange
    | SoundTime
    | Mute
    | Alive
)
_TYPES: dict[str, type[ControlMessage]] = {
    message.name: message for message in get_args(ControlMessage)
}


def serialize_control(message: ControlMessage) -> bytes:
    """Return the packet of ``message``."""
    content = {field.name: getattr(message, field.name) for field in fields(message)}
    packed: bytes = msgpack.packb({"type": message.name, **content})
    return bytes((CONTROL,)) + packed


def parse_control(data: bytes, limits: Limits = LIMITS) -> ControlMessage:
    """Return the message of a control packet. Raises ``BitstreamError`` for anything else."""
    if not data or data[0] != CONTROL or len(data) > limits.control:
        raise BitstreamError(
            f"expected a control packet of 1 to {limits.control} bytes, found {len(data)} bytes"
        )
    content = _unpack(data[1:])
    name = content.pop("type", None)
    message = _TYPES.get(name) if isinstance(name, str) else None
    if message is None:
        raise BitstreamError(f"expected a type of {sorted(_TYPES)}, found {str(name)[:40]!r}")
    expected = {field.name for field in fields(message)}
    if set(content) != expected:
        raise BitstreamError(f"expected {name} with {sorted(expected)}, found other fields")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
    }
    try:
        return message(**values)
    except ValueError as error:
        raise BitstreamError(str(error)) from error


def _unpack(data: bytes) -> dict[str, Any]:
    try:
        content = msgpack.unpackb(
            data,
            max_str_len=4 * _REASON_MOST,
            max_bin_len=_HEADER_MOST,
            max_array_len=_LIST_MOST,
            max_map_len=16,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise BitstreamError(f"expected msgpack, found other bytes: {error!r:.80}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BitstreamError(f"expected a msgpack map, found {type(content).__name__}")
    return content


def _integer(name: str, value: object, most: int) -> None:
    # bool is an int to Python, and not to the format.
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"expected {name} from 0 to {most}, found {str(value)[:40]}")


def _integers(name: str, values: object, count: int, most: int) -> None:
    if not isinstance(values, tuple) or len(values) > count:
        raise ValueError(f"expected at most {count} integers as {name}, found {str(values)[:40]}")
    for value in values:
        _integer(name, value, most)


def _bytes(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise ValueError(f"expected {name} of {least} to {most} bytes, found {str(value)[:40]}")
