# SPDX-License-Identifier: Apache-2.0
"""The ``.tkc`` file: a magic number and checked records (FORMAT.md section 11).

Written and read front to back, so that pipes work; ``seek`` needs a file that can.
"""

from __future__ import annotations

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

from talkcodec.bitstream.chunks import crc16
from talkcodec.bitstream.header import StreamHeader, TickAnchor
from talkcodec.bitstream.motion import group_tick, parse_group_header
from talkcodec.bitstream.reference import Reference
from talkcodec.bitstream.wire import (
    END,
    LIMITS,
    ByteReader,
    Limits,
    classify,
    write_varint,
)
from talkcodec.errors import BitstreamError, TruncatedError
from talkcodec.types import Packet, PacketKind

MAGIC = b"\x89TKC\r\n\x1a\n"

_MAX_RECORDS = 1 << 32
_SIZE_BYTES = 4


class TkcWriter:
    """Writes packets; the first must be the stream header.

    As a context manager it closes the file's records, unless an exception passes through: then
    the end record is missing and readers report a truncated file. The file itself stays open.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._anchor = TickAnchor()
        self._records = 0
        self._crc = 0
        self._put(MAGIC)

    def write(self, packet: Packet) -> None:
        """Append ``packet``. Raises ``ValueError`` if its kind, tick and bytes disagree."""
        if packet.kind != classify(packet.data):
            raise ValueError(f"expected a {packet.kind}, found a {classify(packet.data)}")
        if packet.kind != "header" and not self._records:
            raise ValueError(f"expected a header first, found a {packet.kind}")
        low = parse_group_header(packet.data).tick16 if packet.kind == "motion" else None
        if low not in (None, packet.tick & 0xFFFF):
            raise ValueError(f"expected motion of tick {packet.tick}, found another tick")
        anchor = self._anchor.before(packet)
        if anchor is not None:
            self._record(anchor.serialize())
        self._record(packet.data)

    def close(self) -> None:
        """Write the end record, which tells a whole file from a truncated one."""
        end = bytes((END,)) + write_varint(self._records) + self._crc.to_bytes(4, "little")
        self._record(end)

    def _record(self, data: bytes) -> None:
        self._put(write_varint(len(data)) + data + crc16(data).to_bytes(2, "little"))
        self._records += 1

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._crc = zlib.crc32(data, self._crc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()


class TkcReader:
    """Iterates over the packets of a file, the header included.

    ``header`` is there from the start. Iteration raises ``TruncatedError`` where the file ends
    without an end record and ``BitstreamError`` where it is damaged, in both cases after every
    packet before that place: from there on nothing can be read. It raises ``BitstreamError`` as
    well for a packet that came through whole and is none of a stream; ``packets`` goes on after
    such. ``complete`` tells whether the end record was reached. Of a file read front to back,
    ``taken`` tells how many bytes were read so far, and ``framing`` how many of them are around
    packets: the magic number, lengths, checks and the end record.
    """

    def __init__(self, file: BinaryIO, limits: Limits = LIMITS) -> None:
        self._file = file
        self._limits = limits
        self._at = 0
        self._records = 0
        self._crc: int | None = 0
        self._tick = 0
        self.complete = False
        start = self._take(len(MAGIC))
        if not MAGIC.startswith(start):
            raise BitstreamError("expected a .tkc file, found other bytes")
        self._whole(start, len(MAGIC))
        self.framing = len(MAGIC)
        self._first: bytes | None = self._record()
        if self._first is None:
            raise BitstreamError("expected a stream header, found the end record")
        self.header = StreamHeader.parse(self._first)
        self._body = self._at

    @property
    def taken(self) -> int:
        return self._at

    def __iter__(self) -> Iterator[Packet]:
        while (packet := self.read()) is not None:
            yield packet

    def packets(self, refuse: Callable[[BitstreamError], None]) -> Iterator[Packet]:
        """Iterate over what can be used, giving ``refuse`` the error of each packet that cannot.

        Raises:
            BitstreamError: the file is damaged or truncated.
        """
        while (data := self._next()) is not None:
            try:
                packet = self._packet(data)
            except BitstreamError as error:
                refuse(error)
            else:
                yield packet

    def read(self) -> Packet | None:
        """Return the next packet, or None at the end of a whole file."""
        data = self._next()
        return None if data is None else self._packet(data)

    def _next(self) -> bytes | None:
        """Return the next record, or None at the end of a whole file."""
        if self.complete:
            return None
        data, self._first = self._first or self._record(), None
        return data

    def _packet(self, data: bytes) -> Packet:
        """Return what the record ``data`` is."""
        kind = classify(data)
        if kind == "header":
            header = StreamHeader.parse(data)
            if dataclasses.replace(header, tick=self.header.tick) != self.header:
                raise BitstreamError("expected the stream header repeated, found another")
            self._tick = header.tick
        elif kind == "reference":
            return Packet(kind, data, Reference.parse(data, self._limits).tick)
        elif kind == "motion":
            self._tick = group_tick(data, self._tick)
        else:
            raise BitstreamError(f"expected a record of the stream, found a {kind}")
        known: PacketKind = kind
        return Packet(known, data, self._tick)

    def seek(self, tick: int) -> list[Packet]:
        """Go to the last motion packet that begins at or before ``tick``, or the first of all.

        Returns what a fresh decoder must be given before it: a header of the tick from which that
        packet's counts, and the references then in the bank with those they were predicted from,
        from a key that names the identity.
        The file must be seekable; it is scanned from its first record, up to ``tick`` or to where
        it is damaged.
        """
        origin = self._file.tell() - self._at
        self._first, self._crc = None, None
        self._place(origin, (self._body, self.header.tick, 1))
        start = (self._at, self._tick, self._records)
        references: list[Packet] = []
        known = 0
        for place, packet in self._scan():
            if packet.kind == "reference":
                references.append(packet)
            elif packet.kind == "motion":
                if packet.tick <= tick or not known:
                    start, known = place, len(references)
                if packet.tick > tick:
                    break
        self._place(origin, start)
        header = dataclasses.replace(self.header, tick=self._tick)
        first = Packet("header", header.serialize(), header.tick)
        return [first, *_needed(references[:known])]

    def _scan(self) -> Iterator[tuple[tuple[int, int, int], Packet]]:
        """Yield packets and where they lie; end at damage, which iteration will meet again.

        What is refused is gone over: whether that matters, iteration will tell.
        """
        with contextlib.suppress(BitstreamError):
            while True:
                place = (self._at, self._tick, self._records)
                data = self._next()
                if data is None:
                    return
                packet = None
                with contextlib.suppress(BitstreamError):
                    packet = self._packet(data)
                if packet is not None:
                    yield place, packet

    def _place(self, origin: int, place: tuple[int, int, int]) -> None:
        self._at, self._tick, self._records = place
        self.complete = False
        self._file.seek(origin + self._at)

    def _record(self) -> bytes | None:
        """Return the bytes of the next record, or None for a correct end record."""
        crc, start = self._crc, self._at
        size = self._size()
        data = self._get(size)
        check = int.from_bytes(self._get(2), "little")
        if crc16(data) != check:
            raise BitstreamError(
                f"expected CRC {check:04x} in record {self._records}, found {crc16(data):04x}"
            )
        if data[0] == END:
            self._end(data, crc)
            self.framing += self._at - start
            return None
        self.framing += self._at - start - size
        self._records += 1
        return data

    def _size(self) -> int:
        most = max(self._limits.reference, self._limits.motion)
        code = self._get(1)
        while code[-1] & 0x80 and len(code) < _SIZE_BYTES:
            code += self._get(1)
        size = ByteReader(code, "a record's length").varint(most + 1)
        if size == 0:
            raise BitstreamError(f"expected a record of 1 to {most} bytes, found an empty one")
        return size

    def _end(self, data: bytes, crc: int | None) -> None:
        reader = ByteReader(data[1:], "an end record")
        records, total = reader.varint(_MAX_RECORDS), reader.uint(4)
        reader.finish()
        if records != self._records or crc not in (None, total):
            raise BitstreamError(
                f"expected {records} records of CRC {total:08x}, found {self._records} of {crc}"
            )
        if self._take(1):
            raise BitstreamError("expected the end of the file after its end record, found more")
        self.complete = True

    def _get(self, count: int) -> bytes:
        """Return exactly ``count`` bytes."""
        return self._whole(self._take(count), count)

    def _whole(self, data: bytes, count: int) -> bytes:
        if len(data) < count:
            raise TruncatedError(f"expected a whole .tkc file, found its end at {self._at}")
        return data

    def _take(self, count: int) -> bytes:
        """Return ``count`` bytes, however few the file gives at a time, or all that are left."""
        pieces = []
        wanted = count
        while wanted:
            piece = self._file.read(wanted)
            if not piece:
                break
            pieces.append(piece)
            wanted -= len(piece)
            self._at += len(piece)
        data = b"".join(pieces)
        if self._crc is not None:
            self._crc = zlib.crc32(data, self._crc)
        return data


def _needed(references: list[Packet]) -> list[Packet]:
    """Return the packets from the last key that can begin: up to the bank's oldest, with identity.

    A key without one, as every WebP picture but the first is, leaves a fresh decoder without.
    """
    parsed = [Reference.parse(packet.data) for packet in references]
    latest = {reference.slot: index for index, reference in enumerate(parsed)}
    oldest = min(latest.values(), default=0)
    starts = [
        index
        for index, reference in enumerate(parsed[: oldest + 1])
        if reference.key and reference.identity is not None
    ]
    return references[max(starts, default=0) :]
