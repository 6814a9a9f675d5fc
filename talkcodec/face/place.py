# SPDX-License-Identifier: Apache-2.0
"""Where in a picture the landmark network looks: an upright square about the face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import F32, F64, U8

#: Side of the square, in longer sides of the upright rectangle around the landmarks.
MARGIN = 1.35

# Outer corners of the subject's right and left eye: their line says what upright is.
_RIGHT_CORNER, _LEFT_CORNER = 33, 263


@dataclass(frozen=True, slots=True)
class Place:
    """A square of ``side`` pixels about (``x``, ``y``), turned clockwise by ``roll`` radians."""

    x: float
    y: float
    side: float
    roll: float = 0.0

    @classmethod
    def around(cls, landmarks: F32 | F64, margin: float = MARGIN) -> Place:
        """Return the place of a face with ``landmarks``, float (478, 2 or more) in pixels.

        Raises:
            InputError: a landmark is not finite.
        """
        # Coordinates as rows: NumPy is many times as quick along them as along pairs.
        points = np.ascontiguousarray(landmarks[:, :2].T, np.float64)
        if not np.isfinite(points).all():
            raise InputError("expected finite landmarks, found others")
        eyes = points[:, _LEFT_CORNER] - points[:, _RIGHT_CORNER]
        roll = float(np.arctan2(eyes[1], eyes[0]))
        upright = _rotation(roll).T @ points
        low, high = upright.min(1), upright.max(1)
        x, y = _rotation(roll) @ ((low + high) / 2)
        return cls(float(x), float(y), float(max((high - low).max(), 1.0) * margin), roll)

    def matrix(self, size: int) -> F64:
        """Return the (2, 3) affine map from the picture to a crop of ``size``² pixels."""
        turn = _rotation(self.roll).T * (size / self.side)
        return np.column_stack([turn, size / 2 - turn @ (self.x, self.y)])

    def crop(self, picture: U8, size: int, border: int = cv2.BORDER_REPLICATE) -> U8:
        """Return this place of ``picture``, uint8 (H, W, 3), at ``size``².

        Raises:
            InputError: the place is not finite, or its side not above 0.
        """
        if not (np.isfinite((self.x, self.y, self.side, self.roll)).all() and self.side > 0):
            raise InputError(f"expected a finite place of a side above 0, found {self}")
        matrix = self.matrix(size)
        # Far smaller than the picture, a bilinear crop would alias: average first, but leave a
        # pixel each way of a picture that is far smaller than the place.
        height, width = picture.shape[:2]
        shrink = int(min(self.side / size, max(width, height)))
        if shrink >= 2:
            x, y = min(shrink, width), min(shrink, height)
            picture = np.asarray(
                cv2.resize(picture, None, fx=1 / x, fy=1 / y, interpolation=cv2.INTER_AREA)
            )
            matrix[:, :2] *= (x, y)
        # Our pixel centres lie at .5, OpenCV's at whole numbers.
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
        out = cv2.warpAffine(
            picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border
        )
        return np.asarray(out, np.uint8)

    def to_picture(self, points: F32) -> F32:
        """Map points (N, 3) in crop widths about the crop's middle to pixels of the picture."""
        x, y, z = points.T
        c, s = self.side * np.cos(self.roll), self.side * np.sin(self.roll)
        out = np.empty((len(points), 3), np.float32)
        out[:, 0] = c * x - s * y + self.x
        out[:, 1] = s * x + c * y + self.y
        out[:, 2] = self.side * z
        return out

    def to_crop(self, landmarks: F32 | F64) -> F32:
        """Map landmarks (N, 3) in pixels of the picture to crop widths about the crop's middle."""
        out = np.empty((len(landmarks), 3), np.float32)
        out[:, :2] = (landmarks[:, :2] - (self.x, self.y)) @ (_rotation(self.roll) / self.side)
        out[:, 2] = landmarks[:, 2] / self.side
        return out


def _rotation(angle: float) -> F64:
    """Return the matrix that turns by ``angle``; with y down, clockwise."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])
