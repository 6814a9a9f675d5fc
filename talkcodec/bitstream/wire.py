# SPDX-License-Identifier: Apache-2.0
"""What all packets share: their kinds, their size limits, and reading integers from bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from talkcodec.errors import BitstreamError, TruncatedError

#: Version of FORMAT.md. Any change in produced or accepted bytes raises it.
VERSION = 1

#: What a first byte announces. ``chunk``, ``control`` and ``report`` exist
#: between peers, not in files.
WireKind = Literal["header", "reference", "motion", "chunk", "control", "report"]

HEADER, REFERENCE, CHUNK, CONTROL, END, REPORT = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
MOTION = 0x80

_KINDS: dict[int, WireKind] = {
    HEADER: "header",
    REFERENCE: "reference",
    CHUNK: "chunk",
    CONTROL: "control",
    REPORT: "report",
}

#: Ticks are below 2**48, a state's integers within ±2**20.
TICK_LIMIT = 1 << 48
STATE_LIMIT = 1 << 20
_EXTRA_BITS = 21


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
    """Return the tick ≥ 0 nearest to ``last`` whose low 16 bits are ``tick16``.

    What ``last`` is, FORMAT.md section 6 says: not the newest tick, but that of the packet before.
    """
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


def write_integers(values: Sequence[int]) -> bytes:
    """Return the count of ``values`` and their Exp-Golomb codes, filled up to a byte.

    Most of a state's and an identity's integers are near 0: half the bytes of LEB128.
    """
    codes = [2 * value + 1 if value >= 0 else -2 * value for value in values]
    bits = "".join(f"{'0' * (code.bit_length() - 1)}{code:b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    packed = int(bits or "0", 2).to_bytes(len(bits) // 8, "big")
    return write_varint(len(values)) + packed


class ByteReader:
    """Reads integers from the front of ``data``; every method raises ``TruncatedError``."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._at = 0
        self._spare = 0
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

    def integers(self, most: int) -> tuple[int, ...]:
        """Return at most ``most`` integers within ±2**20, as ``write_integers`` wrote them."""
        count = self.varint(most + 1)
        bits = self._bits()
        values = tuple(self._exp_golomb(bits) for _ in range(count))
        # The generator has taken just the bytes it needed: what is left fills the last one.
        if count and any(islice(bits, self._spare)):
            raise BitstreamError(f"expected zero bits to fill a byte of {self._name}, found ones")
        return values

    def _bits(self) -> Iterator[int]:
        while True:
            byte = self.take(1)[0]
            for self._spare in range(7, -1, -1):
                yield byte >> self._spare & 1

    def _exp_golomb(self, bits: Iterator[int]) -> int:
        extra = 0
        while not next(bits):
            extra += 1
            if extra > _EXTRA_BITS:
                raise BitstreamError(f"expected integers within ±{STATE_LIMIT} in {self._name}")
        code = 1
        for _ in range(extra):
            code = code << 1 | next(bits)
        value = code >> 1 if code & 1 else -(code >> 1)
        if abs(value) > STATE_LIMIT:
            raise BitstreamError(f"expected integers within ±{STATE_LIMIT}, found {value}")
        return value
