# SPDX-License-Identifier: Apache-2.0
"""Packets that break one rule of FORMAT.md each, for the golden vectors.

Sections 6 to 10; each is as it should be but for the one thing that is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from random import Random

import msgpack  # type: ignore[import-untyped]

from talkcodec.bitstream import Reference, StreamHeader
from talkcodec.bitstream.chunks import Chunk
from talkcodec.bitstream.coding import _CHOICE, _GAP
from talkcodec.bitstream.samples import sample_reference
from talkcodec.bitstream.wire import write_integers, write_varint
from talkcodec.entropy import FrequencyTable, RangeEncoder, TableSet
from talkcodec.entropy.coder import _COIN

#: A packet, and what is wrong with it.
Refused = tuple[str, bytes]

_LIMIT = 1 << 20


def refused_packets(tables: TableSet, reference: Reference) -> list[Refused]:
    """Return them, for a decoder that holds ``reference`` and is at tick 100."""
    return [
        ("a first byte of no packet", b"\0"),
        ("a first byte of no packet", b"\x07xx"),
        ("a first byte of no packet", b"\x7f"),
        *_headers(tables),
        *_references(),
        *_motion(tables, reference),
        *_between_peers(),
    ]


def _headers(tables: TableSet) -> Iterator[Refused]:
    good = StreamHeader(256, Fraction(25), tables.hash, max_bank=4).serialize()

    def header(
        version: int = 1,
        canvas: int = 0,
        bank: int = 4,
        rate: bytes = b"\x19\1",
        tick: bytes = b"\0",
    ) -> bytes:
        return bytes((1, version, canvas, bank)) + rate + tables.hash + tick

    yield "another format version", header(version=2)
    yield "a canvas that is none", header(canvas=2)
    yield "a bank of no references", header(bank=0)
    yield "a bank of nine references", header(bank=9)
    yield "a tick rate that can be reduced", header(rate=b"\x32\2")
    yield "a tick rate of 0", header(rate=b"\0\1")
    yield "a tick rate of 25/0", header(rate=b"\x19\0")
    yield "more than 1000 ticks a second", header(rate=b"\xe9\7\1")
    yield "a tick rate with a term of 2^24", header(rate=b"\1" + write_varint(1 << 24))
    yield "a tick not in its shortest form", header(tick=b"\x80\0")
    yield "a tick of 2^48", header(tick=write_varint(1 << 48))
    yield "a header that is cut off", good[:-1]
    yield "a byte after the header", good + b"\0"
    yield "the hash of other tables", good[:6] + bytes((good[6] ^ 1,)) + good[7:]


def _references() -> Iterator[Refused]:
    good = sample_reference(Random(1), 7, 0, 0).serialize()

    def reference(
        bits: int = 1,
        tick: bytes = b"\0",
        state: bytes = write_integers((1, 2, 3, 4, 5, 6, 7)),
        rest: bytes = b"",
    ) -> bytes:
        return bytes((2, bits, 7, 1)) + tick + state + rest + b"picture"

    yield "bit 6 of a reference", reference(bits=0x41)
    yield "bit 7 of a reference", reference(bits=0x81)
    yield "a tick not in its shortest form", reference(tick=b"\x81\x80\0")
    yield "a tick of 2^48", reference(tick=write_varint(1 << 48))
    yield "a state of no integers", reference(state=b"\0")
    yield "a state of 65 integers", reference(state=write_integers((0,) * 65))
    yield "a number of integers not in its shortest form", reference(state=b"\x87\0\xff")
    yield "an integer of 2^20 + 1", reference(state=write_integers((_LIMIT + 1,)))
    yield "an integer of -2^20 - 1", reference(state=write_integers((-_LIMIT - 1,)))
    yield "zero bits without end", reference(state=b"\1" + bytes(40))
    yield "a fill bit of one", reference(state=b"\1\xc0")
    yield "an identity of 257 integers", reference(bits=3, rest=write_integers((0,) * 257))
    yield "a window of no width", reference(bits=5, rest=b"\4\0\0\0\4\0\x08\0")
    yield "a window upside down", reference(bits=5, rest=b"\0\0\x08\0\4\0\4\0")
    yield "a reference that is cut off", good[:12]


class _Packet(RangeEncoder):
    """Writes a motion packet at tick 100, of reference 0 and, but for copies, quantiser 0."""

    def __init__(self, bits: int, tables: TableSet) -> None:
        super().__init__()
        self._head, self._tables = bytes((0x80 | bits, 100, 0, 0)), tables

    def row(self, tables: Sequence[FrequencyTable], first: int = 0) -> None:
        """Append a row of integers: 0 but for the first."""
        for index, table in enumerate(tables):
            self.encode(0 if index else first, table)

    def frame(self, first: int = 0) -> None:
        """Append frame 0."""
        self.row(self._tables.intra[0], first)

    def layer(self, mode: int, first: int = 0) -> None:
        """Append frame 0 and a layer."""
        self.frame()
        self.encode(mode, _CHOICE)
        self.row(self._tables.flow_tables.get(mode, ()), first)

    def copy(self, count: int, gaps: tuple[int, ...] = (), first: int = 0) -> None:
        """Append frame 0 and copies."""
        self.frame()
        self.encode(count, _CHOICE)
        for gap in gaps:
            self.encode(gap, _GAP)
        for _ in gaps:
            self.row(self._tables.inter[3], first)

    def escape(self, table: FrequencyTable, zeros: int) -> None:
        """Append an escape below, whose distance has ``zeros`` zero bits before it."""
        self._coder.encode(table.escape, table.model)
        for bit in (0, *(0,) * zeros, 1):
            self._coder.encode(bit, _COIN)

    def packet(self) -> bytes:
        return self._head + self.finish()


def _motion(tables: TableSet, reference: Reference) -> Iterator[Refused]:
    def motion(bits: int, fill: Callable[[_Packet], None]) -> bytes:
        packet = _Packet(bits, tables)
        fill(packet)
        return packet.packet()

    start = reference.state[0]
    most = 1 << 14
    yield "bit 0 of motion", motion(1, lambda p: p.frame())
    yield "motion of three bytes", b"\x80\x64\0"
    yield "a gap of 0", motion(0x20, lambda p: p.encode(0, _GAP))
    yield "a gap of 2^14 + 1", motion(0x20, lambda p: p.encode(most + 1, _GAP))
    yield "a component of 2^20 + 1", motion(0, lambda p: p.frame(_LIMIT + 1 - start))
    yield "a component of -2^20 - 1", motion(0, lambda p: p.frame(-_LIMIT - 1 - start))
    yield "25 bits of an escape", motion(0x20, lambda p: p.escape(_GAP, 25))
    yield "a code that is no symbol's", b"\x80\x64\0\0" + b"\xff" * 12
    yield "a flow mode of 0", motion(4, lambda p: p.layer(0))
    yield "a flow mode of 5", motion(4, lambda p: p.layer(5))
    yield "a flow mode that the tables have not", motion(4, lambda p: p.layer(3))
    yield "a value of a layer of 2^20 + 1", motion(4, lambda p: p.layer(1, _LIMIT + 1))
    yield "a copy of no frames", motion(2, lambda p: p.copy(0))
    yield "a copy of five frames", motion(2, lambda p: p.copy(5))
    yield "a gap of 0 before a copy", motion(2, lambda p: p.copy(1, (0,)))
    yield "a gap of 2^14 + 1 before a copy", motion(2, lambda p: p.copy(1, (most + 1,)))
    yield "a copy from before tick 0", motion(2, lambda p: p.copy(2, (60, 41)))
    yield "a component of a copy below -2^20", motion(2, lambda p: p.copy(1, (1,), -2 * _LIMIT))


def _between_peers() -> Iterator[Refused]:
    def chunk(length: int = 10, index: int = 0, count: int = 2, parity: int = 0) -> bytes:
        return Chunk(7, 0, length, index, count, parity, False, bytes(5)).serialize()

    yield "a chunk beyond the last", chunk(index=2)
    yield "a chunk of no pieces", chunk(count=0)
    yield "a chunk of 17 pieces of parity", chunk(parity=17)
    yield "parity for 65 pieces", chunk(length=325, count=65, parity=1)
    yield "a reference of 2^18 + 1 bytes", chunk(length=(1 << 18) + 1)
    yield "a piece of another size", chunk(length=12)
    yield "a last piece that is empty", chunk(length=5, count=6)

    def control(**fields: object) -> bytes:
        return b"\4" + bytes(msgpack.packb(fields))

    yield "a type of message that is none", control(type="hallo")
    yield "a message without its field", control(type="acknowledge")
    yield "a message with one more field", control(type="mute", packet=1)
    yield "a number of another type", control(type="acknowledge", sequence=True)
    yield "a number beyond its bound", control(type="acknowledge", sequence=256)
    yield "a float", control(type="sound", packet=1.0, time_us=0)
    yield "a byte after a message", control(type="mute") + b"\0"
    yield "a report of another version", b"\6\2" + bytes(10)
    yield "nine references in a bank", b"\6\1" + bytes(8) + b"\x09" + bytes(9) + b"\0"
    yield "33 arrivals", b"\6\1" + bytes(9) + b"\x21" + bytes(4 * 33)
    yield "a byte after a report", b"\6\1" + bytes(11)
