# SPDX-License-Identifier: Apache-2.0
"""Range coder: constriction's, made to take our tables and to end on the shortest byte string.

FORMAT.md section 3 says in integers what these two classes do.
"""

from __future__ import annotations

import constriction
import numpy as np

from talkcodec.entropy.table import PRECISION, FrequencyTable
from talkcodec.errors import BitstreamError

#: Most bits of an escaped distance: integers farther than 2**24 outside a table do not exist.
ESCAPE_BITS = 24

_STATE_BITS = 64
_WORD_BYTES = 4
_COIN = FrequencyTable(0, (1 << PRECISION - 1, 1 << PRECISION - 1)).model


class RangeEncoder:
    """Turns integers and their tables into bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, value: int, table: FrequencyTable) -> None:
        """Append ``value``. Raises ``ValueError`` when it lies more than 2**24 outside."""
        slot = value - table.minimum
        escape = table.escape
        if 0 <= slot < escape:
            self._coder.encode(slot, table.model)
            return
        above = slot > 0
        distance = slot - escape + 1 if above else -slot
        extra = distance.bit_length() - 1
        if extra > ESCAPE_BITS:
            raise ValueError(f"expected an integer within 2**{ESCAPE_BITS + 1}, found {value}")
        self._coder.encode(escape, table.model)
        # Side, then the distance (≥ 1) in Exp-Golomb of order 0.
        code = f"{'1' if above else '0'}{'0' * extra}{distance:b}"
        for bit in code:
            self._coder.encode(int(bit), _COIN)

    def finish(self) -> bytes:
        """Return the shortest byte string that decodes to what was encoded."""
        words = self._coder.get_compressed()
        if len(words) == 0:
            return b""
        emitted, (lower, span) = self._coder.pos()
        total = _WORD_BYTES * emitted + _STATE_BITS // 8
        sealed = int.from_bytes(words.astype(">u4").tobytes().ljust(total, b"\0"), "big")
        # Every code value in [low, low + span) decodes alike. constriction's own choice lies in
        # that interval and tells the words before the state, pending carries included.
        low = sealed - ((sealed - lower) & (1 << _STATE_BITS) - 1)
        dropped = (span.bit_length() - 1) // 8
        while dropped < total and _ceil(low, dropped + 1) < low + span:
            dropped += 1
        code: int = _ceil(low, dropped) >> 8 * dropped
        return code.to_bytes(total - dropped, "big")


def _ceil(value: int, zeros: int) -> int:
    """Return the smallest integer ≥ ``value`` whose last ``zeros`` bytes are zero."""
    return -(-value >> 8 * zeros) << 8 * zeros


class RangeDecoder:
    """Reads back what ``RangeEncoder`` wrote; bytes past the end count as zero."""

    def __init__(self, data: bytes) -> None:
        padded = data + b"\0" * (-len(data) % _WORD_BYTES)
        words = np.frombuffer(padded, dtype=">u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def decode(self, table: FrequencyTable) -> int:
        """Return the next integer. Raises ``BitstreamError`` when the bytes encode none."""
        try:
            slot: int = self._coder.decode(table.model)
        except AssertionError as error:
            # constriction's answer to a code value outside the model; its other failures need a
            # table with a zero count, which FrequencyTable refuses.
            raise BitstreamError("expected range-coded symbols, found other bytes") from error
        if slot < table.escape:
            return table.minimum + slot
        return self._escaped(table)

    def _escaped(self, table: FrequencyTable) -> int:
        above = self._bit()
        extra = 0
        while not self._bit():
            extra += 1
            if extra > ESCAPE_BITS:
                raise BitstreamError(f"expected at most {ESCAPE_BITS} escape bits, found more")
        distance = 1
        for _ in range(extra):
            distance = distance << 1 | self._bit()
        return table.maximum + distance if above else table.minimum - distance

    def _bit(self) -> int:
        try:
            bit: int = self._coder.decode(_COIN)
        except AssertionError as error:
            raise BitstreamError("expected range-coded bits, found other bytes") from error
        return bit
