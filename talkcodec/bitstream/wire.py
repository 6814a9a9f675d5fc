# SPDX-License-Identifier: Apache-2.0
"""What all packets share: their kinds, their size limits, and reading integers from bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from talkcodec.errors import BitstreamError, TruncatedError

#: Version of FORMAT.md. Any change in produced or accepted bytes raises it.
VERSION = 1

#: What a first byte announces. ``chunk`` and ``control`` exist between peers, not in files.
WireKind = Literal["header", "reference", "motion", "chunk", "control"]

HEADER, REFERENCE, CHUNK, CONTROL, END = 0x01, 0x02, 0x03, 0x04, 0x05
MOTION = 0x80

_KINDS: dict[int, WireKind] = {
    HEADER: "header",
    REFERENCE: "reference",
    CHUNK: "chunk",
    CONTROL: "control",
}

#: Ticks are below 2**48, a state's integers within ±2**20.
TICK_LIMIT = 1 << 48
STATE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes above which nothing is parsed, kept or allocated."""

    reference: int = 256 << 10
    motion: int = 8 << 10
    control: int = 4 << 10


LIMITS = Limits()


def classify(data: bytes) -> WireKind:
    """Return the kind of a packet by its first byte, which is all this looks at."""
    if not data:
        raise TruncatedError("expected a packet, found no bytes")
    if data[0] & MOTION:
        return "motion"
    kind = _KINDS.get(data[0])
    if kind is None:
        raise BitstreamError(f"expected a packet type, found 0x{data[0]:02x}")
    return kind


def unwrap(tick16: int, last: int) -> int:
    """Return the tick ≥ 0 nearest to ``last`` whose low 16 bits are ``tick16``."""
    tick = last + ((tick16 - last + 0x8000) & 0xFFFF) - 0x8000
    return tick if tick >= 0 else tick + 0x10000


def write_varint(value: int) -> bytes:
    """Return ``value`` (≥ 0) as LEB128: 7 bits a byte, low bits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """Map 0, -1, 1, -2, … to 0, 1, 2, 3, …"""
    return value << 1 if value >= 0 else -(value << 1) - 1


class ByteReader:
    """Reads integers from the front of ``data``; every method raises ``TruncatedError``."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._at = 0
        self._name = name

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise TruncatedError(
                f"expected {end} bytes or more of {self._name}, found {len(self._data)}"
            )
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def rest(self) -> bytes:
        """Return all bytes not yet read."""
        return self.take(len(self._data) - self._at)

    def finish(self) -> None:
        """Raise ``BitstreamError`` unless everything was read."""
        if self._at != len(self._data):
            raise BitstreamError(
                f"expected {self._at} bytes of {self._name}, found {len(self._data)}"
            )

    def uint(self, size: int) -> int:
        """Return an unsigned little-endian integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "little")

    def varint(self, below: int) -> int:
        """Return a LEB128 integer less than ``below``; ``BitstreamError`` if it is not."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if value >= below or (byte == 0 and shift > 0):
                raise BitstreamError(
                    f"expected a shortest integer below {below} in {self._name}, found another"
                )
            if byte < 0x80:
                return value
            shift += 7
            if below >> shift == 0:
                raise BitstreamError(f"expected an integer below {below} in {self._name}")

    def signed(self, limit: int) -> int:
        """Return a zigzag LEB128 integer within ±``limit``."""
        code = self.varint(2 * limit + 1)
        return code >> 1 if code & 1 == 0 else -(code >> 1) - 1
