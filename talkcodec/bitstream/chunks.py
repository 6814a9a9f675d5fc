# SPDX-License-Identifier: Apache-2.0
"""References in pieces that fit a datagram, and back (FORMAT.md section 9)."""

from __future__ import annotations

from binascii import crc_hqx
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from talkcodec.bitstream.wire import CHUNK, LIMITS, ByteReader, Limits
from talkcodec.errors import BitstreamError

MAX_CHUNKS = 255
_HEADER_BYTES = 6
_REMEMBERED = 16


def crc16(data: bytes) -> int:
    """Return CRC-16/IBM-3740: polynomial 0x1021, initial value 0xFFFF, not reflected."""
    return crc_hqx(data, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Piece ``index`` of ``count`` of the reference ``sequence``.

    ``tag``: the message's CRC-16; pieces belong together when sequence, count and tag agree.
    """

    sequence: int
    tag: int
    index: int
    count: int
    payload: bytes

    def serialize(self) -> bytes:
        head = bytes((CHUNK, self.sequence)) + self.tag.to_bytes(2, "little")
        return head + bytes((self.index, self.count)) + self.payload

    @classmethod
    def parse(cls, data: bytes) -> Chunk:
        """Raises ``BitstreamError`` for anything that is not a chunk."""
        reader = ByteReader(data, "a chunk")
        kind, sequence, tag = reader.uint(1), reader.uint(1), reader.uint(2)
        index, count = reader.uint(1), reader.uint(1)
        if kind != CHUNK or index >= count:
            raise BitstreamError(f"expected a chunk, found type {kind}, piece {index} of {count}")
        payload = reader.rest()
        if not payload:
            raise BitstreamError("expected a piece of a reference, found nothing in the chunk")
        return cls(sequence, tag, index, count, payload)


def fragment(message: bytes, sequence: int, mtu: int = 1000) -> list[bytes]:
    """Split a serialized reference into chunks of at most ``mtu`` bytes, evenly sized.

    Raises ``ValueError`` when 255 chunks are not enough or there is nothing to send.
    """
    room = mtu - _HEADER_BYTES
    count = -(-len(message) // room) if room > 0 else 0
    if not 1 <= count <= MAX_CHUNKS:
        raise ValueError(f"expected 1 to {MAX_CHUNKS} chunks, found {count} of {mtu} bytes")
    size = -(-len(message) // count)
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    tag = crc16(message)
    return [
        Chunk(sequence, tag, index, len(pieces), piece).serialize()
        for index, piece in enumerate(pieces)
    ]


@dataclass(slots=True)
class _Partial:
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class Reassembler:
    """Collects chunks, in any order and repeated, until a reference is whole.

    Holds at most ``pending`` unfinished messages of ``limits.reference`` bytes each. When one
    more begins, the one begun first is dropped; ``dropped`` counts these and the ones that
    turned out corrupt or too large.
    """

    def __init__(self, limits: Limits = LIMITS, pending: int = 4) -> None:
        self._limits = limits
        self._pending = pending
        self._partial: OrderedDict[tuple[int, int, int], _Partial] = OrderedDict()
        self._finished: deque[tuple[int, int, int]] = deque(maxlen=_REMEMBERED)
        self.dropped = 0

    def accept(self, data: bytes) -> bytes | None:
        """Take one chunk; return the whole message when this completes it, else None.

        Raises ``BitstreamError`` for what is no chunk, and for a message that is too large or
        does not match its CRC once whole.
        """
        chunk = Chunk.parse(data)
        key = (chunk.sequence, chunk.tag, chunk.count)
        if key in self._finished:
            return None
        partial = self._open(key)
        if chunk.index not in partial.pieces:
            partial.pieces[chunk.index] = chunk.payload
            partial.size += len(chunk.payload)
        if partial.size > self._limits.reference:
            self._drop(key)
            raise BitstreamError(
                f"expected a reference of {self._limits.reference} bytes at most, found more"
            )
        if len(partial.pieces) < chunk.count:
            return None
        message = b"".join(partial.pieces[index] for index in range(chunk.count))
        if crc16(message) != chunk.tag:
            self._drop(key)
            raise BitstreamError(f"expected CRC {chunk.tag:04x}, found {crc16(message):04x}")
        del self._partial[key]
        self._finished.append(key)
        return message

    def missing(self, sequence: int) -> tuple[int, ...]:
        """Return the chunk indexes still wanted for the newest message of ``sequence``."""
        for key, partial in reversed(self._partial.items()):
            if key[0] == sequence:
                return tuple(index for index in range(key[2]) if index not in partial.pieces)
        return ()

    def _open(self, key: tuple[int, int, int]) -> _Partial:
        partial = self._partial.get(key)
        if partial is None:
            if len(self._partial) >= self._pending:
                self._drop(next(iter(self._partial)))
            partial = self._partial[key] = _Partial()
        return partial

    def _drop(self, key: tuple[int, int, int]) -> None:
        del self._partial[key]
        self.dropped += 1
