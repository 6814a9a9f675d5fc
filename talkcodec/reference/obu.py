# SPDX-License-Identifier: Apache-2.0
"""AV1 open bitstream units, as far as taking a picture's bytes apart and together needs.

An encoder emits per picture a temporal delimiter, for key pictures a sequence header, and one
frame. Only the sequence header (and that only where it is unusual) and the frame say anything,
so only they are sent, without the units' own headers.
"""

from __future__ import annotations

from collections.abc import Iterator

from talkcodec.errors import BitstreamError, TruncatedError

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _FRAME = 1, 2, 6
_PADDING_OR_METADATA = (5, 15)


def split(unit: bytes) -> tuple[bytes | None, bytes]:
    """Return the payloads of the sequence header (if any) and of the one frame of ``unit``.

    ``unit``: a temporal unit in low-overhead format. Raises ``BitstreamError`` if it holds
    anything else that a decoder needs.
    """
    header: bytes | None = None
    frames: list[bytes] = []
    for kind, payload in _units(unit):
        if kind == _SEQUENCE_HEADER:
            header = payload
        elif kind == _FRAME:
            frames.append(payload)
        elif kind != _TEMPORAL_DELIMITER and kind not in _PADDING_OR_METADATA:
            raise BitstreamError(f"expected AV1 units of type 1, 2, 6, found {kind}")
    if len(frames) != 1:
        raise BitstreamError(f"expected 1 AV1 frame, found {len(frames)}")
    return header, frames[0]


def join(header: bytes | None, frame: bytes) -> bytes:
    """Return the temporal unit that :func:`split` takes apart."""
    units = _unit(_TEMPORAL_DELIMITER, b"")
    if header is not None:
        units += _unit(_SEQUENCE_HEADER, header)
    return units + _unit(_FRAME, frame)


def sequence_size(header: bytes) -> tuple[int, int]:
    """Return the width and height in pixels that a sequence header allows at most.

    Raises ``BitstreamError`` where the header uses layers or timing that no reference has.
    """
    bits = _Bits(header)
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header
        bits.read(5)
    else:
        if bits.read(1):
            raise BitstreamError("expected an AV1 sequence without timing information, found some")
        delays = bits.read(1)
        if points := bits.read(5):
            raise BitstreamError(f"expected 1 AV1 operating point, found {points + 1}")
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delays and bits.read(1):
            bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


class _Bits:
    """Reads big-endian bits."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise TruncatedError("expected a longer AV1 sequence header, found its end")
        return self._value >> self._left & ((1 << count) - 1)


def _unit(kind: int, payload: bytes) -> bytes:
    return bytes([kind << 3 | 2]) + _leb128(len(payload)) + payload


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        head = data[position]
        position += 2 if head & 4 else 1  # an extension byte may follow
        size = len(data) - position
        if head & 2:
            size, position = _read_leb128(data, position)
        if position + size > len(data):
            raise TruncatedError(f"expected an AV1 unit of {size} bytes, found its end")
        yield head >> 3 & 15, data[position : position + size]
        position += size


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return the value and the position behind it."""
    value = 0
    for shift in range(0, 56, 7):
        if position >= len(data):
            raise TruncatedError("expected the size of an AV1 unit, found the end")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise BitstreamError("expected a size of at most 8 bytes in an AV1 unit, found a longer one")
