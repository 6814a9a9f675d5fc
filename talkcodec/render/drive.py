# SPDX-License-Identifier: Apache-2.0
"""Where mouth, eyes and face should be, as a picture that the generator's networks can read."""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.motion.landmarks import (
    LEFT_EYE,
    LEFT_IRIS,
    LIPS_INNER,
    LIPS_OUTER,
    OVAL,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from talkcodec.types import CANVAS, F64, U8

#: Side of the drive, pixels: an eye is a dozen of them wide.
DRIVE_SIDE = 128

_SHIFT = 4  # sub-pixel bits of OpenCV's polygon filler: a lid moves by less than a pixel


def drive(landmarks: F64) -> U8:
    """Draw ``landmarks`` (478, 3), canvas units: uint8 (5, 128, 128).

    Channels, 255 inside: the opening between the lips, the lips with it, both eye openings, both
    irises as far as the lids let them be seen, the face within its oval.
    """
    scale = DRIVE_SIDE / CANVAS
    # Far outside the canvas nothing is drawn, and fixed-point numbers end.
    points = np.clip(landmarks[:, :2] * scale - 0.5, -1000, 1000)
    eyes = _polygons(points, RIGHT_EYE, LEFT_EYE)
    irises = np.zeros_like(eyes)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        rim = points[list(iris)]
        radius = float(np.linalg.norm(rim[1:] - rim[0], axis=1).mean())
        _disc(irises, rim[0], min(radius, DRIVE_SIDE))
    return np.stack(
        [
            _polygons(points, LIPS_INNER),
            _polygons(points, LIPS_OUTER),
            eyes,
            np.minimum(irises, eyes),
            _polygons(points, OVAL),
        ]
    )


def _polygons(points: F64, *outlines: tuple[int, ...]) -> U8:
    out = np.zeros((DRIVE_SIDE, DRIVE_SIDE), np.uint8)
    for outline in outlines:
        corners = np.rint(points[list(outline)] * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(out, [corners], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return out


def _disc(out: U8, centre: F64, radius: float) -> None:
    x, y = np.rint(centre * (1 << _SHIFT)).astype(int).tolist()
    size = max(round(radius * (1 << _SHIFT)), 1)
    cv2.circle(out, (x, y), size, 255, -1, lineType=cv2.LINE_AA, shift=_SHIFT)
