# SPDX-License-Identifier: Apache-2.0
"""Pictures laid over one another.

All in float32 and rounded once, to even: for arrays of one type NumPy is done several times as
quickly as for bytes and floats at once.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.render.field import layered
from talkcodec.types import F32, U8


def mixed(base: U8, other: U8 | F32, share: F32, change: F32 | None = None) -> U8:
    """Return ``base`` (h, w, 3) with ``other`` (h, w, 3) over it by ``share`` (h, w), 0 to 1.

    ``change``: (h, w, 3), 8-bit steps to add. The sum is bounded to 0–255.
    """
    below = base.astype(np.float32)
    above = other.astype(np.float32)
    above -= below
    above *= layered(share, 3)
    if change is not None:
        above += change
    return np.asarray(cv2.add(below, above, dtype=cv2.CV_8U), np.uint8)
