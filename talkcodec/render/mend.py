# SPDX-License-Identifier: Apache-2.0
"""What a warp tears, filled smoothly from its surroundings.

Where a head turns, the warp pulls a strip of cheek, ear or hair over what the reference does not
show, and beyond its edge it draws bars. Nothing is known of such a place but what is around it, and
a soft transition catches the eye less than a streak. Until a reference shows what is there.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.render.field import extend, layered
from talkcodec.render.measure import torn
from talkcodec.types import F32, U8, Bool

#: Share of a picture below which tears are let be.
_LEAST = 0.001
#: Grid on which tears are filled, for what fills them is smooth, pixels a side.
_COARSE = 64
#: Depth of the face's rim that may be filled, in cells of the flow. Lids and lips lie deeper: they
#: stretch as well, and come from other references.
_RIM = 4


def mended(picture: U8, flow: F32, inside: Bool) -> U8:
    """Return a warped ``picture`` (S, S, 3) with its tears filled.

    ``flow``: float32 (n, n, 2), canvas units, that it was warped by; ``inside``: bool (n, n), the
    face.
    """
    tears = torn(flow).astype(np.uint8)
    deep = cv2.erode(inside.astype(np.uint8), np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    tears[deep > 0] = 0
    marked = cv2.morphologyEx(tears, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    if cv2.countNonZero(marked) / marked.size < _LEAST:
        return picture
    wide = cv2.dilate(marked, np.ones((3, 3), np.uint8)).astype(np.float32)
    side, coarse = picture.shape[0], (_COARSE, _COARSE)
    small = cv2.resize(picture, coarse, interpolation=cv2.INTER_AREA).astype(np.float32)
    whole = cv2.resize(wide, coarse, interpolation=cv2.INTER_AREA) < 0.01
    if not whole.any():
        return picture
    fill = cv2.resize(extend(small, whole), (side, side), interpolation=cv2.INTER_LINEAR)
    sharp = cv2.resize(wide, (side, side), interpolation=cv2.INTER_LINEAR)
    weight = np.asarray(cv2.GaussianBlur(sharp, (0, 0), side / 128), np.float32)
    left, top, width, height = cv2.boundingRect((weight > 0).view(np.uint8))
    place = np.s_[top : top + height, left : left + width]
    out, part = picture.copy(), picture[place]
    out[place] = np.rint(part + layered(weight[place], 3) * (fill[place] - part))
    return out
