# SPDX-License-Identifier: Apache-2.0
"""Persons told from what is behind them, so that a wall stays where it is when a head moves.

A warp carries whatever is near a head along with it. Where neither the moved person nor the person
of the reference covers a place, the reference shows what is behind it, and that is drawn instead,
as it is, for as long as the sender sees a camera that stands (``talkcodec.render.layer.stays``).
Between the two lies what the head uncovered; nothing is known of it, and the warp is as good a
guess as any.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.render.cells import planes
from talkcodec.render.engine import EngineName, Precision
from talkcodec.render.field import pixel_grid
from talkcodec.types import CANVAS, F32, U8

#: Chances of a person, 0 to 1, below which a pixel is behind, and from which it is the person.
_BEHIND, _PERSON = 0.1, 0.6
#: Cells by which the person is made wider, and over which that ends: hair stands off a head.
_WIDER, _SOFTLY = 2, 1.0


class Matte:
    """Tells persons from what is behind them, in pictures of any size."""

    def __init__(self, engine: EngineName = "auto", precision: Precision = "auto") -> None:
        self._engine = weights.open_network("matte", engine, precision)
        self._side = self._engine.inputs["picture"][-1]

    def __call__(self, picture: U8, side: int) -> F32:
        """Return where the person of ``picture``, uint8 (S, S, 3), is: float32 (side, side), 0 to
        1, generously.
        """
        size = (self._side, self._side)
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = self._engine.run({"picture": planes(small)[None]})["person"][0, 0]
        chance = 1 / (1 + np.exp(-np.clip(found.astype(np.float32), -30, 30)))
        person = np.clip((chance - _BEHIND) / (_PERSON - _BEHIND), 0, 1)
        person = cv2.resize(person, (side, side), interpolation=cv2.INTER_LINEAR)
        shape = (2 * _WIDER + 1, 2 * _WIDER + 1)
        wide = cv2.dilate(person, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, shape))
        return np.asarray(cv2.GaussianBlur(wide, (0, 0), _SOFTLY), np.float32)

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._engine.close()


def behind(matte: F32, field: F32) -> F32:
    """Return where what is behind the person is drawn: float32 (n, n), 0 to 1.

    ``matte``: float32 (n, n), of the reference; ``field``: flow to it, (n, n, 2), canvas units.
    """
    side = matte.shape[0]
    at = field * np.float32(side / CANVAS) + pixel_grid(side)
    no_second: Any = None  # OpenCV's stubs want one
    moved = cv2.remap(matte, at, no_second, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray((1 - moved) * (1 - matte), np.float32)


def over(warped: U8, still: U8, share: F32) -> U8:
    """Return ``warped`` (S, S, 3) with ``still`` (S, S, 3) by ``share`` (n, n) of it."""
    size = warped.shape[1::-1]
    weight = np.asarray(cv2.resize(share, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(cv2.blendLinear(warped, still, 1 - weight, weight), np.uint8)
