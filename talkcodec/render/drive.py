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
from talkcodec.render.cells import planes
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
    openings, irises = eyes(points, DRIVE_SIDE, DRIVE_SIDE)
    lips_inner, lips_outer, face = (
        polygons(points, DRIVE_SIDE, DRIVE_SIDE, part) for part in (LIPS_INNER, LIPS_OUTER, OVAL)
    )
    return planes(np.asarray(cv2.merge([lips_inner, lips_outer, openings, irises, face]), np.uint8))


def polygons(points: F64, width: int, height: int, *outlines: tuple[int, ...]) -> U8:
    """Return the insides of ``outlines`` of ``points`` (478, 2), pixels: uint8 (height, width)."""
    out = np.zeros((height, width), np.uint8)
    for outline in outlines:
        corners = np.rint(points[list(outline)] * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(out, [corners], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return out


def eyes(points: F64, width: int, height: int) -> tuple[U8, U8]:
    """Return the openings between the lids, and the irises as far as the lids let them be seen."""
    openings = polygons(points, width, height, RIGHT_EYE, LEFT_EYE)
    irises = np.zeros_like(openings)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        _disc(irises, points[list(iris)])
    return openings, np.minimum(irises, openings)


def _disc(out: U8, iris: F64) -> None:
    """Fill the disc of an ``iris``, (5, 2): its centre and four points of its rim, in pixels."""
    radius = min(float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean()), max(out.shape))
    x, y = np.rint(iris[0] * (1 << _SHIFT)).astype(int).tolist()
    size = max(round(radius * (1 << _SHIFT)), 1)
    cv2.circle(out, (x, y), size, 255, -1, lineType=cv2.LINE_AA, shift=_SHIFT)
