# SPDX-License-Identifier: Apache-2.0
"""What a receiver tells about the path, a few times a second (FORMAT.md section 10).

A report costs 190 bytes of headers and acknowledgement, so it is binary and holds all the sender
may want: it lists when which packet came, and leaves it to the sender, who knows when it sent
them, to find loss, delay and rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from talkcodec.bitstream.wire import REPORT, ByteReader
from talkcodec.errors import BitstreamError

#: Layout of the report; a receiver's that is newer than ours cannot be read.
REPORT_VERSION = 1

#: Arrivals listed, and references named, at most.
MAX_ARRIVALS, MAX_HELD = 32, 8

#: Age in ms that stands for "this or longer".
MAX_AGE = 0x7FFF

_CHUNK_BIT = 0x8000
_U16, _U32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet that came ``age`` ms (0 to 32767) before the report left.

    ``id``: of motion the low 16 bits of its tick; of a ``chunk`` its sequence · 256 + index.
    """

    id: int
    age: int
    chunk: bool = False


@dataclass(frozen=True, slots=True)
class PathReport:
    """How packets arrive and how the receiver fares.

    ``clock``: the receiver's, in ms modulo 2**32, when this left. ``received``: motion packets
    since the start, modulo 2**16. ``delay_ms``: playout delay. ``arrivals``: those not yet
    reported, oldest first, at most the newest 32. ``held``: sequence numbers in the bank.
    """

    clock: int
    received: int
    delay_ms: int
    arrivals: tuple[Arrival, ...] = ()
    held: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.received, self.delay_ms, *(arrival.id for arrival in self.arrivals))
        good = all(0 <= number <= _U16 for number in numbers)
        good &= all(0 <= arrival.age <= MAX_AGE for arrival in self.arrivals)
        good &= all(0 <= sequence <= 255 for sequence in self.held)
        if not good or not 0 <= self.clock <= _U32:
            raise ValueError(f"expected numbers within their bounds, found {self}")
        if len(self.arrivals) > MAX_ARRIVALS or len(self.held) > MAX_HELD:
            raise ValueError(
                f"expected {MAX_ARRIVALS} arrivals and {MAX_HELD} references at most,"
                f" found {len(self.arrivals)} and {len(self.held)}"
            )

    def serialize(self) -> bytes:
        out = bytearray((REPORT, REPORT_VERSION))
        out += self.clock.to_bytes(4, "little")
        out += self.received.to_bytes(2, "little") + self.delay_ms.to_bytes(2, "little")
        out += bytes((len(self.held), *self.held, len(self.arrivals)))
        for arrival in self.arrivals:
            age = arrival.age | _CHUNK_BIT * arrival.chunk
            out += arrival.id.to_bytes(2, "little") + age.to_bytes(2, "little")
        return bytes(out)

    @classmethod
    def parse(cls, data: bytes) -> PathReport:
        """Raises ``BitstreamError`` for anything that is not a report of this version."""
        reader = ByteReader(data, "a report")
        kind, version = reader.uint(1), reader.uint(1)
        if (kind, version) != (REPORT, REPORT_VERSION):
            raise BitstreamError(
                f"expected a report of version {REPORT_VERSION}, found type {kind}, {version}"
            )
        clock, received, delay = reader.uint(4), reader.uint(2), reader.uint(2)
        held = tuple(reader.uint(1) for _ in range(_count(reader, MAX_HELD)))
        arrivals = tuple(_arrival(reader) for _ in range(_count(reader, MAX_ARRIVALS)))
        reader.finish()
        return cls(clock, received, delay, arrivals, held)


def _count(reader: ByteReader, most: int) -> int:
    count = reader.uint(1)
    if count > most:
        raise BitstreamError(f"expected {most} entries of a report at most, found {count}")
    return count


def _arrival(reader: ByteReader) -> Arrival:
    number, age = reader.uint(2), reader.uint(2)
    return Arrival(number, age & MAX_AGE, bool(age & _CHUNK_BIT))
