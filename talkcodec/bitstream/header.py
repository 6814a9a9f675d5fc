# SPDX-License-Identifier: Apache-2.0
"""The stream header: what a decoder must know before anything else (FORMAT.md section 6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from talkcodec.bitstream.wire import HEADER, TICK_LIMIT, VERSION, ByteReader, write_varint
from talkcodec.errors import BitstreamError, VersionError
from talkcodec.types import Packet

MAX_BANK = 8
SIZES = (256, 512)
_RATE_TERM = 1 << 24
_MAX_RATE = 1000
_HASH = 8

#: Motion ticks have 16 bits: a jump this large needs a header that anchors them anew.
_FAR = 1 << 15


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """Parameters of a stream.

    ``size``: side of the canvas in pixels, 256 or 512. ``tick_rate``: ticks per second, above 0
    and at most 1000. ``table_hash``: 8 bytes, of the ``TableSet``. ``max_bank``: references the
    receiver keeps, 1 to 8. ``tick``: the clock when this header was sent; a header repeated
    later anchors the 16-bit ticks of motion packets after a pause.
    """

    size: int
    tick_rate: Fraction
    table_hash: bytes
    max_bank: int = MAX_BANK
    tick: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        rate = self.tick_rate
        slow = 0 < rate <= _MAX_RATE and max(rate.numerator, rate.denominator) < _RATE_TERM
        _require(self.version == VERSION, f"version {VERSION}", self.version)
        _require(self.size in SIZES, f"a canvas of {SIZES[0]} or {SIZES[1]}", self.size)
        _require(slow, f"a tick rate up to {_MAX_RATE}/s", rate)
        _require(len(self.table_hash) == _HASH, f"a hash of {_HASH} bytes", self.table_hash.hex())
        _require(1 <= self.max_bank <= MAX_BANK, f"a bank of 1 to {MAX_BANK}", self.max_bank)
        _require(0 <= self.tick < TICK_LIMIT, "a tick below 2**48", self.tick)

    def serialize(self) -> bytes:
        return b"".join(
            (
                bytes((HEADER, self.version, SIZES.index(self.size), self.max_bank)),
                write_varint(self.tick_rate.numerator),
                write_varint(self.tick_rate.denominator),
                self.table_hash,
                write_varint(self.tick),
            )
        )

    @classmethod
    def parse(cls, data: bytes) -> StreamHeader:
        """Raises ``VersionError`` for another version, ``BitstreamError`` for what is no header."""
        reader = ByteReader(data, "a stream header")
        kind = reader.uint(1)
        if kind != HEADER:
            raise BitstreamError(f"expected a stream header (type {HEADER}), found type {kind}")
        version = reader.uint(1)
        if version != VERSION:
            raise VersionError(f"expected format version {VERSION}, found {version}")
        size, bank = reader.uint(1), reader.uint(1)
        numerator, denominator = reader.varint(_RATE_TERM), reader.varint(_RATE_TERM)
        table_hash = reader.take(_HASH)
        tick = reader.varint(TICK_LIMIT)
        reader.finish()
        if size >= len(SIZES) or denominator == 0:
            raise BitstreamError(f"expected a canvas and a rate, found {size} and /{denominator}")
        rate = Fraction(numerator, denominator)
        if rate.numerator != numerator:
            raise BitstreamError(f"expected {rate} in lowest terms, found {numerator}")
        try:
            return cls(SIZES[size], rate, table_hash, bank, tick)
        except ValueError as error:
            raise BitstreamError(str(error)) from error

    def require_tables(self, table_hash: bytes) -> None:
        """Raise ``VersionError`` unless the stream was made with the tables of ``table_hash``."""
        if self.table_hash != table_hash:
            raise VersionError(
                f"expected a stream for tables {table_hash.hex()}, found {self.table_hash.hex()}"
            )


class TickAnchor:
    """Tells a sender when its header must be repeated: FORMAT.md section 6, 16-bit ticks."""

    def __init__(self) -> None:
        self._header: StreamHeader | None = None
        self._tick = 0

    def before(self, packet: Packet) -> StreamHeader | None:
        """Return the header to send before ``packet``, if one is needed, and count the packet.

        Raises:
            BitstreamError: it is said to be a header and is none.
        """
        anchor = None
        if packet.kind == "header":
            self._header = StreamHeader.parse(packet.data)
        elif packet.kind == "motion" and not -_FAR < packet.tick - self._tick < _FAR:
            anchor = self._header and replace(self._header, tick=packet.tick)
        if packet.kind != "reference":
            self._tick = packet.tick
        return anchor


def _require(good: object, expected: str, found: object) -> None:
    if not good:
        raise ValueError(f"expected {expected}, found {found}")
