# SPDX-License-Identifier: Apache-2.0
"""Passages that are there twice, recognised by how their pictures look.

Twice a second a picture becomes 255 bits: the signs of its low-frequency DCT coefficients. These
survive scaling, re-encoding and a little noise. Two passages are the same if their pictures at
equal times are, all along the shorter of both: two takes before one curtain agree in some frames,
not in all. A copy that begins at another time is not recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.types import U8

Bits = npt.NDArray[np.uint8]

#: Seconds between two hashed pictures.
INTERVAL = 0.5
#: Mean share of differing bits up to which two passages are one.
SAME = 0.1
#: Passages whose lengths differ by more than this share are two.
LENGTH = 0.2

_SIDE = 64
_LOW = 16  # coefficients each way
_BAND = 2  # bytes of a hash that two candidates share somewhere
_FIRST = 3  # pictures of a passage that make it a candidate


def picture_hash(grey: U8) -> bytes:
    """Return 32 bytes that describe ``grey``, uint8 (S, S)."""
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_LOW, :_LOW].ravel()
    low[0] = 0  # brightness is no feature
    return np.packbits(low > np.median(low)).tobytes()


def distance(one: Sequence[bytes], other: Sequence[bytes]) -> float:
    """Return the mean share of differing bits of two passages' pictures, 0 to 1."""
    count = min(len(one), len(other))
    if count == 0:
        return 1.0
    a = np.frombuffer(b"".join(one[:count]), np.uint8)
    b = np.frombuffer(b"".join(other[:count]), np.uint8)
    return float(np.unpackbits(a ^ b).mean())


def duplicates(passages: Sequence[tuple[str, Sequence[bytes]]]) -> dict[str, str]:
    """Return which of ``passages`` (key, hashes) repeat an earlier one: key to that one's key.

    Only passages that share 16 equal bits in place in one of their first pictures are compared:
    a copy does with near certainty, and the work stays far from quadratic.
    """
    seen: dict[tuple[int, int, bytes], list[int]] = defaultdict(list)
    copies: dict[str, str] = {}
    for number, (key, hashes) in enumerate(passages):
        bands = [
            (picture, start, code[start : start + _BAND])
            for picture, code in enumerate(hashes[:_FIRST])
            for start in range(0, len(code), _BAND)
        ]
        candidates = sorted({index for band in bands for index in seen[band]})
        original = next((i for i in candidates if _same(hashes, passages[i][1])), None)
        if original is not None:
            copies[key] = passages[original][0]
            continue
        for band in bands:
            seen[band].append(number)
    return copies


def _same(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    longest = max(len(one), len(other))
    if abs(len(one) - len(other)) > max(1.0, LENGTH * longest):
        return False
    return distance(one, other) <= SAME
