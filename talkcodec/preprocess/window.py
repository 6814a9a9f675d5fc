# SPDX-License-Identifier: Apache-2.0
"""The square part of the input that becomes the canvas.

Moving the window costs a reference picture, so it moves rarely: only when the face has been badly
framed for a while and another window would hold clearly more of it, and then straight to where it
belongs. A face that no window holds is no reason to move, and whoever keeps moving is followed
more and more slowly.

* An input no wider than 4:3 whose face already fills 30 % of its short side is taken whole (its
  centre square): it has been framed by somebody, and every cut loses shoulders.
* Otherwise the window is a square around head and shoulders, in which the landmarks span 42 % of
  the height, with the face a little above the middle, inside the picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import CANVAS, F32, F64, U8, Box, FaceObservation

#: Share of the window's height that the landmarks span when it is placed.
FACE_SHARE = 0.42
#: Face heights, as a share of the window's, outside which the face is badly framed.
SHARE_RANGE = (0.2, 0.85)
#: Where the middle of the face lies in a new window, from its top.
FACE_HEIGHT = 0.46
#: How far the face may stick out of the window, as a share of its side.
OVERHANG = 0.04
#: How much more of the face a new window must hold, as a share of what the picture shows of it.
CLEARLY = 0.12
#: By how many times a new window must be larger or smaller to be worth its reference by that alone.
ZOOM = 1.25
#: Largest patience, in times the first one, and well-framed pictures until it is that again.
SLOWEST = 4
SETTLED = 250
#: Inputs up to this much wider or higher than square may be taken whole, from this face share on.
WHOLE_ASPECT = 1.34
WHOLE_SHARE = 0.3
#: The largest side that the stream's 16-bit window fields can tell.
LIMIT = 65_535
#: The smallest window, in source pixels.
SMALLEST = 32


class CropWindow:
    """Where the canvas lies in the input. ``size``: the canvas side in pixels."""

    def __init__(self, size: int = CANVAS, *, patience: int = 12) -> None:
        """``patience``: pictures in a row with a badly framed face before the window moves.

        It doubles with each move, up to ``SLOWEST`` times.
        """
        self._size = size
        self._patience = self._first_patience = patience
        self._shape: tuple[int, int] | None = None
        self._followed: tuple[int, int] | None = None
        self._left = self._top = self._side = 0
        self._placed = False
        self._bad = self._good = 0

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in source pixels; all 0 before the first picture."""
        return self._left, self._top, self._left + self._side, self._top + self._side

    def follow(self, shape: tuple[int, ...], face: FaceObservation) -> bool:
        """Take note of ``face`` in a picture of ``shape`` (H, W, …); return whether it moved.

        The first face places the window at once, and so does another picture size.

        Raises:
            InputError: the picture is smaller than 32 or larger than 65535 pixels.
        """
        self._reshape(shape)
        reshaped, self._followed = self._followed != self._shape, self._shape
        if self._placed and not self._worth_moving(face.box):
            self._bad, self._good = 0, self._good + 1
            if self._good >= SETTLED:
                self._patience = self._first_patience
            return False
        self._bad, self._good = self._bad + 1, 0
        if self._placed and self._bad < self._patience:
            return False
        if self._placed:
            self._patience = min(2 * self._patience, SLOWEST * self._first_patience)
        self._bad, self._placed = 0, True
        return self._move(self._ideal(face.box)) or reshaped

    def crop(self, picture: U8) -> U8:
        """Return the canvas picture, uint8 (S, S, 3), of ``picture``, uint8 (H, W, 3)."""
        self._reshape(picture.shape)
        part = picture[self._top : self._top + self._side, self._left : self._left + self._side]
        if self._side == self._size:
            return np.ascontiguousarray(part)
        # Averaging by area keeps what a detail is worth; growing has nothing to average.
        method = cv2.INTER_AREA if self._side > self._size else cv2.INTER_CUBIC
        resized = cv2.resize(part, (self._size, self._size), interpolation=method)
        return np.asarray(resized, dtype=np.uint8)

    def to_canvas(self, landmarks: F32 | F64) -> F64:
        """Return ``landmarks`` (N, 3) in source pixels as float64 (N, 3) in canvas units."""
        out = landmarks.astype(np.float64)
        out[:, 0] -= self._left
        out[:, 1] -= self._top
        return np.asarray(out * (CANVAS / self._side), dtype=np.float64)

    def box_to_canvas(self, box: Box) -> Box:
        """Return ``box``, in source pixels, in canvas units."""
        scale = CANVAS / self._side
        left, top = (box.left - self._left) * scale, (box.top - self._top) * scale
        return Box(left, top, left + box.width * scale, top + box.height * scale)

    def _reshape(self, shape: tuple[int, ...]) -> None:
        """Begin anew, with the centre square, when pictures of another size arrive."""
        height, width = shape[:2]
        if self._shape == (height, width):
            return
        if not SMALLEST <= min(height, width) <= max(height, width) <= LIMIT:
            raise InputError(
                f"expected a picture of {SMALLEST} to {LIMIT} pixels a side, found {width}x{height}"
            )
        self._shape = (height, width)
        self._placed, self._bad, self._good = False, 0, 0
        self._patience = self._first_patience
        self._left, self._top, self._side = self._whole()

    def _move(self, to: tuple[int, int, int]) -> bool:
        moved = to != (self._left, self._top, self._side)
        self._left, self._top, self._side = to
        return moved

    def _whole(self) -> tuple[int, int, int]:
        height, width = self._shape or (0, 0)
        side = min(height, width)
        return (width - side) // 2, (height - side) // 2, side

    def _ideal(self, face: Box) -> tuple[int, int, int]:
        """Return left, top and side of the window this face would be given."""
        height, width = self._shape or (0, 0)
        short, long = min(height, width), max(height, width)
        framed = long <= WHOLE_ASPECT * short and face.height >= WHOLE_SHARE * short
        if framed and self._holds(face, self._whole()):
            return self._whole()
        side = min(max(round(face.height / FACE_SHARE), SMALLEST), short)
        x, y = face.centre
        left = min(max(round(x - side / 2), 0), width - side)
        top = min(max(round(y - FACE_HEIGHT * side), 0), height - side)
        return left, top, side

    def _worth_moving(self, face: Box) -> bool:
        """Return whether the window this face would be given is clearly better than this one."""
        if not self._badly_framed(face):
            return False
        now, then = (self._left, self._top, self._side), self._ideal(face)
        if not 1 / ZOOM < then[2] / self._side < ZOOM:
            return True
        return self._held(face, then) - self._held(face, now) >= CLEARLY

    def _badly_framed(self, face: Box) -> bool:
        window = (self._left, self._top, self._side)
        small, large = SHARE_RANGE
        share = face.height / self._side
        could_grow = self._side < min(self._shape or (0, 0))
        return share < small or (share > large and could_grow) or not self._holds(face, window)

    def _holds(self, face: Box, window: tuple[int, int, int]) -> bool:
        """Return whether the face is inside ``window``, as far as it is inside the picture."""
        height, width = self._shape or (0, 0)
        left, top, side = window
        slack = OVERHANG * side
        return (
            max(face.left, 0) >= left - slack
            and max(face.top, 0) >= top - slack
            and min(face.right, width) <= left + side + slack
            and min(face.bottom, height) <= top + side + slack
        )

    def _held(self, face: Box, window: tuple[int, int, int]) -> float:
        """Return the share of what the picture shows of the face that is inside ``window``."""
        height, width = self._shape or (0, 0)
        left, top, side = window
        shown = _overlap(face, 0, 0, width, height)
        return _overlap(face, left, top, left + side, top + side) / shown if shown else 0.0


def _overlap(face: Box, left: int, top: int, right: int, bottom: int) -> float:
    """Return the area of ``face`` inside a rectangle, both inside the picture."""
    width = min(face.right, right) - max(face.left, left)
    height = min(face.bottom, bottom) - max(face.top, top)
    return max(width, 0.0) * max(height, 0.0)
