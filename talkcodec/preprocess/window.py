# SPDX-License-Identifier: Apache-2.0
"""The square of the source picture that the codec sees: head and shoulders, rarely moving.

The window is part of the stream, and moving it costs a reference, because everything in the
picture jumps. So it is chosen generously and then held until the face has left its middle.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import CANVAS, F32, F64, U8, FaceObservation

#: Side of a new window, in heights of the face's landmark box.
FACE_HEIGHTS = 2.4

#: A picture whose face is at least this share of its short side is taken whole.
TIGHT = 0.30

#: The face's centre may wander this share of the window's side before the window moves, and its
#: height may change by this factor.
SLACK, ZOOM = 0.22, 1.5


class CropWindow:
    """Chooses the window and carries pictures and landmarks into the canvas of ``side`` pixels."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._shape: tuple[int, int] | None = None
        self._bounds: tuple[int, int, int, int] | None = None
        self._face_height = 0.0

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in source pixels.

        Raises:
            InputError: no face has been followed yet.
        """
        if self._bounds is None:
            raise InputError("expected a face before a window is asked for, found none")
        return self._bounds

    def follow(self, shape: tuple[int, ...], face: FaceObservation) -> bool:
        """Keep ``face`` in view in a picture of ``shape`` (H, W, …); return whether it moved."""
        height, width = shape[:2]
        if self._bounds is not None and self._shape == (height, width) and self._holds(face):
            return False
        before = self._bounds
        self._shape = (height, width)
        self._face_height = face.box.height
        self._bounds = self._choose(width, height, face)
        return before is not None and before != self._bounds

    def crop(self, picture: U8) -> U8:
        """Return the window of ``picture`` (H, W, 3) as the canvas: uint8 (side, side, 3)."""
        left, top, right, bottom = self.bounds
        part = picture[top:bottom, left:right]
        if part.shape[0] == self._side == part.shape[1]:
            return np.ascontiguousarray(part)
        method = cv2.INTER_AREA if part.shape[0] > self._side else cv2.INTER_CUBIC
        size = (self._side, self._side)
        return np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)

    def to_canvas(self, landmarks: F32) -> F64:
        """Return ``landmarks`` (N, 3), source pixels, in canvas units."""
        left, top, right, _ = self.bounds
        moved = np.asarray(landmarks, np.float64) - (left, top, 0)
        return np.asarray(moved * (CANVAS / (right - left)), np.float64)

    def _holds(self, face: FaceObservation) -> bool:
        left, top, right, bottom = self.bounds
        side = right - left
        assert self._shape is not None  # set with the bounds
        if side == min(self._shape) == max(self._shape):
            return True
        x, y = face.box.centre
        off = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) / side
        zoom = face.box.height / self._face_height
        if 1 / ZOOM <= zoom <= ZOOM and off <= SLACK:
            return True
        # A window pinned to the picture's edge cannot do better by moving.
        return self._choose(self._shape[1], self._shape[0], face) == self._bounds

    def _choose(
        self, width: int, height: int, face: FaceObservation
    ) -> tuple[int, int, int, int]:
        short = min(width, height)
        tight = face.box.height >= TIGHT * short
        side = short if tight else min(round(face.box.height * FACE_HEIGHTS), short)
        x, y = face.box.centre
        if tight and max(width, height) <= 1.2 * short:
            x, y = width / 2, height / 2
        left = int(np.clip(round(x - side / 2), 0, width - side))
        top = int(np.clip(round(y - 0.45 * side), 0, height - side)) if not tight else 0
        if tight and height > width:
            top = int(np.clip(round(y - side / 2), 0, height - side))
        return left, top, left + side, top + side
