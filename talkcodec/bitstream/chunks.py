# SPDX-License-Identifier: Apache-2.0
"""References in pieces that fit a datagram, and back (FORMAT.md section 9)."""

from __future__ import annotations

from binascii import crc_hqx
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from talkcodec.bitstream.erasure import MAX_DATA, MAX_PARITY, add_parity, recover
from talkcodec.bitstream.wire import CHUNK, LIMITS, ByteReader, Limits
from talkcodec.errors import BitstreamError

MAX_CHUNKS = 255

#: Bytes of a chunk before its payload.
CHUNK_HEADER = 10

_ANSWER = 0x80
_REMEMBERED = 16


def crc16(data: bytes) -> int:
    """Return CRC-16/IBM-3740: polynomial 0x1021, initial value 0xFFFF, not reflected."""
    return crc_hqx(data, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Piece ``index`` of the reference ``sequence``: data below ``count``, else parity.

    ``tag``: the message's CRC-16; ``length``: its bytes. ``parity``: pieces of parity, 0 to 16.
    Pieces belong together when all of these agree but index, answer and payload. ``answer``: the
    receiver shall report at once.
    """

    sequence: int
    tag: int
    length: int
    index: int
    count: int
    parity: int
    answer: bool
    payload: bytes

    @property
    def message(self) -> tuple[int, int, int, int, int]:
        """What all chunks of one message share."""
        return self.sequence, self.tag, self.length, self.count, self.parity

    def serialize(self) -> bytes:
        head = bytes((CHUNK, self.sequence)) + self.tag.to_bytes(2, "little")
        shape = bytes((self.index, self.count, self.parity | _ANSWER * self.answer))
        return head + self.length.to_bytes(3, "little") + shape + self.payload

    @classmethod
    def parse(cls, data: bytes, limits: Limits = LIMITS) -> Chunk:
        """Raises ``BitstreamError`` for anything that is not a chunk."""
        reader = ByteReader(data, "a chunk")
        kind, sequence, tag = reader.uint(1), reader.uint(1), reader.uint(2)
        length, index, count = reader.uint(3), reader.uint(1), reader.uint(1)
        bits = reader.uint(1)
        parity, payload = bits & ~_ANSWER, reader.rest()
        most = MAX_DATA if parity else MAX_CHUNKS
        if kind != CHUNK or not index < count + parity or count > most or parity > MAX_PARITY:
            raise BitstreamError(
                f"expected a chunk, found type {kind}, piece {index} of {count} and {parity}"
            )
        if length > limits.reference:
            raise BitstreamError(
                f"expected a reference of {limits.reference} bytes at most, found {length}"
            )
        expected = _piece_size(length, index, count)
        if expected is None or len(payload) != expected:
            raise BitstreamError(
                f"expected {expected} bytes as piece {index} of {count} of {length} bytes,"
                f" found {len(payload)}"
            )
        return cls(sequence, tag, length, index, count, parity, bool(bits & _ANSWER), payload)


def _piece_size(length: int, index: int, count: int) -> int | None:
    """Return the bytes of piece ``index``, or None when so many pieces cannot be."""
    size = -(-length // count) if count else 0
    last = length - (count - 1) * size
    if size == 0 or last <= 0:
        return None
    return last if index == count - 1 else size


def fragment(message: bytes, sequence: int, mtu: int = 1000, parity: int = 0) -> list[Chunk]:
    """Split a serialized reference into chunks of at most ``mtu`` bytes, evenly sized.

    ``parity`` chunks follow those of data, as far as the code allows: at most 16, and none when
    more than 64 chunks of data are needed. Raises ``ValueError`` when 255 chunks are not enough
    or there is nothing to send.
    """
    room = mtu - CHUNK_HEADER
    count = -(-len(message) // room) if room > 0 else 0
    if not 1 <= count <= MAX_CHUNKS:
        raise ValueError(f"expected 1 to {MAX_CHUNKS} chunks, found {count} of {mtu} bytes")
    size = -(-len(message) // count)
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    count = len(pieces)
    parity = min(parity, MAX_PARITY) if count <= MAX_DATA else 0
    padded = [*pieces[:-1], pieces[-1].ljust(size, b"\0")]
    extra = add_parity(padded, parity) if parity else []
    tag = crc16(message)
    return [
        Chunk(sequence, tag, len(message), index, count, parity, False, piece)
        for index, piece in enumerate(pieces + extra)
    ]


@dataclass(slots=True)
class _Partial:
    pieces: dict[int, bytes] = field(default_factory=dict)
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """What an unfinished message lacks.

    ``needed``: chunks, any of ``absent``. ``coming``: chunks above the newest index that came,
    which a sender in order has yet to send.
    """

    needed: int
    absent: tuple[int, ...]
    coming: int


class Reassembler:
    """Collects chunks, in any order and repeated, until a reference can be made whole.

    Holds at most ``pending`` unfinished messages, of ``limits.reference`` bytes and as much
    parity each. When one more begins, the one begun first is dropped; ``dropped`` counts these
    and the ones that turned out corrupt. ``recovered`` counts messages that parity completed.
    """

    def __init__(self, limits: Limits = LIMITS, pending: int = 4) -> None:
        self._limits = limits
        self._pending = pending
        self._partial: OrderedDict[tuple[int, ...], _Partial] = OrderedDict()
        self._finished: deque[tuple[int, ...]] = deque(maxlen=_REMEMBERED)
        self.dropped = 0
        self.recovered = 0

    def accept(self, chunk: Chunk) -> bytes | None:
        """Take one chunk; return the whole message when this completes it, else None.

        Raises ``BitstreamError`` for a message that does not match its CRC once whole.
        """
        if chunk.message in self._finished:
            return None
        partial = self._open(chunk.message)
        partial.pieces.setdefault(chunk.index, chunk.payload)
        partial.newest = max(partial.newest, chunk.index)
        if len(partial.pieces) < chunk.count:
            return None
        message = self._join(partial, chunk)
        if crc16(message) != chunk.tag:
            self._drop(chunk.message)
            raise BitstreamError(f"expected CRC {chunk.tag:04x}, found {crc16(message):04x}")
        del self._partial[chunk.message]
        self._finished.append(chunk.message)
        return message

    def missing(self, sequence: int) -> Missing | None:
        """Return what the newest unfinished message of ``sequence`` lacks, if there is one."""
        for (number, _, _, count, parity), partial in reversed(self._partial.items()):
            if number == sequence:
                absent = [i for i in range(count + parity) if i not in partial.pieces]
                coming = sum(index > partial.newest for index in absent)
                return Missing(count - len(partial.pieces), tuple(absent), coming)
        return None

    def _join(self, partial: _Partial, chunk: Chunk) -> bytes:
        size = -(-chunk.length // chunk.count)
        pieces = {index: piece.ljust(size, b"\0") for index, piece in partial.pieces.items()}
        self.recovered += any(index not in pieces for index in range(chunk.count))
        return b"".join(recover(pieces, chunk.count, chunk.parity))[: chunk.length]

    def _open(self, key: tuple[int, ...]) -> _Partial:
        partial = self._partial.get(key)
        if partial is None:
            if len(self._partial) >= self._pending:
                self._drop(next(iter(self._partial)))
            partial = self._partial[key] = _Partial()
        return partial

    def _drop(self, key: tuple[int, ...]) -> None:
        del self._partial[key]
        self.dropped += 1
