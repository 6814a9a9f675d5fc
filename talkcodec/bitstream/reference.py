# SPDX-License-Identifier: Apache-2.0
"""The reference message: a picture, its motion state, and where it goes (FORMAT.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from talkcodec.bitstream.header import MAX_BANK
from talkcodec.bitstream.wire import (
    LIMITS,
    REFERENCE,
    STATE_LIMIT,
    TICK_LIMIT,
    ByteReader,
    Limits,
    write_integers,
    write_varint,
)
from talkcodec.errors import BitstreamError

MAX_STATE, MAX_IDENTITY = 64, 256
_KEY, _IDENTITY, _WINDOW, _RESERVED = 0x01, 0x02, 0x04, 0xC0
_SLOT_SHIFT = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture that motion packets refer to.

    ``sequence``: 0 to 255, counting up modulo 256. ``slot``: of the bank, 0 to 7; what was there
    leaves. ``key``: the picture decodes by itself; otherwise it needs all pictures since the
    last key picture. ``tick``: below 2**48. ``state``: 1 to 64 integers in finest steps, within
    ±2**20. ``identity``: at most 256 such integers, or None to keep the identity in force.
    ``window``: left, top, right, bottom of the crop in source pixels (u16), or None to keep it.
    ``codec``: picture codec, 0 to 255. ``picture``: its bytes.
    """

    sequence: int
    slot: int
    key: bool
    tick: int
    state: tuple[int, ...]
    identity: tuple[int, ...] | None
    window: tuple[int, int, int, int] | None
    codec: int
    picture: bytes

    def serialize(self) -> bytes:
        """Return the message. Raises ``ValueError`` for a field out of its bounds."""
        self._check()
        bits = _KEY * self.key | self.slot << _SLOT_SHIFT
        bits |= _IDENTITY * (self.identity is not None) | _WINDOW * (self.window is not None)
        parts = [bytes((REFERENCE, bits, self.sequence, self.codec)), write_varint(self.tick)]
        parts.append(write_integers(self.state))
        if self.identity is not None:
            parts.append(write_integers(self.identity))
        if self.window is not None:
            parts += [side.to_bytes(2, "little") for side in self.window]
        return b"".join((*parts, self.picture))

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Reference:
        """Raises ``BitstreamError`` for anything that is not a reference message."""
        if len(data) > limits.reference:
            raise BitstreamError(
                f"expected a reference of {limits.reference} bytes at most, found {len(data)}"
            )
        reader = ByteReader(data, "a reference")
        kind, bits = reader.uint(1), reader.uint(1)
        if kind != REFERENCE or bits & _RESERVED:
            raise BitstreamError(f"expected a reference, found type {kind}, flags 0x{bits:02x}")
        sequence, codec = reader.uint(1), reader.uint(1)
        tick = reader.varint(TICK_LIMIT)
        state = reader.integers(MAX_STATE)
        if not state:
            raise BitstreamError("expected a state of 1 integer or more, found none")
        identity = reader.integers(MAX_IDENTITY) if bits & _IDENTITY else None
        window = _read_window(reader) if bits & _WINDOW else None
        slot, key = bits >> _SLOT_SHIFT & (MAX_BANK - 1), bool(bits & _KEY)
        return cls(sequence, slot, key, tick, state, identity, window, codec, reader.rest())

    def _check(self) -> None:
        small = (self.sequence, self.codec, *(side >> 8 for side in self.window or ()))
        if not all(0 <= value <= 255 for value in small) or not 0 <= self.slot < MAX_BANK:
            raise ValueError(f"expected a sequence, slot, codec and window, found {self}")
        if not 0 <= self.tick < TICK_LIMIT:
            raise ValueError(f"expected a tick below 2**48, found {self.tick}")
        identity = self.identity or ()
        if not 1 <= len(self.state) <= MAX_STATE or len(identity) > MAX_IDENTITY:
            raise ValueError(
                f"expected 1 to {MAX_STATE} state and up to {MAX_IDENTITY} identity integers,"
                f" found {len(self.state)} and {len(identity)}"
            )
        if max(map(abs, (*self.state, *identity))) > STATE_LIMIT:
            raise ValueError(f"expected integers within ±{STATE_LIMIT}, found others")
        if self.window and not _ordered(self.window):
            raise ValueError(f"expected left < right and top < bottom, found {self.window}")

    def __str__(self) -> str:
        kind = "key" if self.key else "predicted"
        return (
            f"Reference {self.sequence} ({kind}, slot {self.slot}, tick {self.tick},"
            f" codec {self.codec}, {len(self.picture)} B)"
        )


def _read_window(reader: ByteReader) -> tuple[int, int, int, int]:
    window = (reader.uint(2), reader.uint(2), reader.uint(2), reader.uint(2))
    if not _ordered(window):
        raise BitstreamError(f"expected left < right and top < bottom, found {window}")
    return window


def _ordered(window: tuple[int, int, int, int]) -> bool:
    left, top, right, bottom = window
    return left < right and top < bottom
