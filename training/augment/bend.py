# SPDX-License-Identifier: Apache-2.0
"""Faces bent smoothly, landmarks with them: more shapes of faces than there are people."""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.types import F32, U8

#: Standard deviation of the displacement, in sides of the picture.
STRENGTH = 0.02

_CELLS = 4  # of the coarse grid, each way
_ROUNDS = 4  # of the fixed-point iteration; the error shrinks tenfold a round


def bent(picture: U8, points: F32, random: np.random.Generator) -> tuple[U8, F32]:
    """Return ``picture``, uint8 (S, S, 3), and ``points``, float32 (N, 3) in sides about its
    middle, bent by the same smooth random field.
    """
    side = picture.shape[0]
    coarse = random.normal(0, STRENGTH, (_CELLS, _CELLS, 2)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    out = cv2.remap(
        picture,
        x + field[..., 0] * side,
        y + field[..., 1] * side,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # The picture at q shows what was at q + field(q): a point p goes to q = p - field(q).
    moved = points.copy()
    for _ in range(_ROUNDS):
        where = (moved[:, None, :2] + 0.5) * side - 0.5
        at = cv2.remap(
            field,
            where[..., 0].astype(np.float32),
            where[..., 1].astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        moved[:, :2] = points[:, :2] - at[:, 0]
    return np.asarray(out, np.uint8), moved
