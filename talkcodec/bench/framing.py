# SPDX-License-Identifier: Apache-2.0
"""What an encoder's packets hold that RTP never carries, so that no codec is charged for it.

* AV1 (RTP payload format of AOMedia): temporal delimiters are dropped, and so is the size field
  of the last unit; those of the units before it become length fields of the same size.
* H.264 and H.265 (RFC 6184, RFC 7798): no start codes. Supplemental information carries no
  picture, and x264 spends 700 B of it on its own name: a fair rate leaves it out.
* VP9 (RFC 9628): frames travel as they are.

What RTP adds instead is in ``PAYLOAD_HEADER``: the least that each format allows. Aggregating
parameter sets and fragmenting large frames cost a few bytes more, which is not counted.
"""

from __future__ import annotations

import re
from itertools import pairwise

#: Decoder → bytes that the payload format adds to each RTP packet.
PAYLOAD_HEADER = {"libdav1d": 1, "vp9": 1, "h264": 0, "hevc": 0}

#: Decoder → where the unit type sits in the first header byte, and which types are SEI.
_SEI = {"h264": (0, 0x1F, (6,)), "hevc": (1, 0x3F, (39, 40))}

_TEMPORAL_DELIMITER, _TILE_LIST, _PADDING = 2, 8, 15
_LEB128_MOST = 8


def uncarried_bytes(data: bytes, decoder: str) -> int:
    """Count the bytes of one packet of an encoder that RTP does not carry.

    ``decoder``: FFmpeg's name; those not in ``PAYLOAD_HEADER`` are taken as carried whole.
    Raises ``ValueError`` for AV1 that is not made of whole units.
    """
    if decoder == "libdav1d":
        return _obu_framing(data)
    if decoder in _SEI:
        return _annex_b_framing(data, *_SEI[decoder])
    return 0


def _obu_framing(data: bytes) -> int:
    dropped = size_field = position = 0
    while position < len(data):
        start = position
        header = data[position]
        position += 2 if header & 4 else 1
        if header & 2:
            size, length = _leb128(data, position)
        else:  # only the last unit may go without
            size, length = len(data) - position, 0
        position += length + size
        if position > len(data):
            raise ValueError(f"expected a unit of {size} bytes, found the end of the packet")
        if (header >> 3) & 15 in (_TEMPORAL_DELIMITER, _TILE_LIST, _PADDING):
            dropped += position - start
        else:
            size_field = length
    return dropped + size_field


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a number and the bytes that it takes."""
    value = 0
    for index, byte in enumerate(data[position : position + _LEB128_MOST]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    raise ValueError(f"expected a size of at most {_LEB128_MOST} bytes, found none")


def _annex_b_framing(data: bytes, shift: int, mask: int, unsent: tuple[int, ...]) -> int:
    starts = [match.span() for match in re.finditer(b"\0?\0\0\1", data)]
    total = 0
    for (start, header), (end, _) in pairwise([*starts, (len(data), len(data))]):
        is_sent = header < end and (data[header] >> shift) & mask not in unsent
        total += header - start if is_sent else end - start
    return total
