# SPDX-License-Identifier: Apache-2.0
"""Heads turned further than the camera saw them, by our own renderer's warp.

People who talk to a camera look at it: of a thousand frames one shows a head turned by more than
40°. A head that is turned a little, turned on by as much again, shows what such frames look like:
the far cheek narrow, the far eye half hidden.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from talkcodec import weights
from talkcodec.face.place import Place
from talkcodec.render.ground import Ground
from talkcodec.render.mesh import Topology
from talkcodec.render.resample import enlarged, resample
from talkcodec.types import F32, U8

#: A head is turned by between so many radians, and not beyond so many in all.
_LEAST, _MOST, _END = 0.1, 0.75, 1.1
#: How far behind the landmarks' mean the head's axis is, in sides of the face's place.
_AXIS = 0.3


def yaw(marks: F32) -> float:
    """Return by how many radians a head with ``marks`` (478, 3) is turned, positive when its nose
    points to the picture's right: from the depths of its two sides.
    """
    left, right = _upright(marks)[[454, 234]]
    return float(np.arctan2(left[2] - right[2], abs(left[0] - right[0])))


def turned(picture: U8, marks: F32, angle: float) -> tuple[U8, F32]:
    """Return ``picture``, uint8 (256, 256, 3), with its head turned by ``angle`` radians about its
    upright axis, and its landmarks, float32 (478, 3) in pixels.
    """
    place = Place.around(marks)
    crop = place.to_crop(marks)
    axis = np.array([crop[:, 0].mean(), 0.0, crop[:, 2].mean() + _AXIS])
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    moved = (crop - axis) @ turn.T + axis
    target = place.to_picture(moved.astype(np.float32))
    ground = Ground.of(target.astype(np.float64), _topology())
    return resample(enlarged(picture), ground.flow(marks.astype(np.float64))), target


def turned_further(picture: U8, marks: F32, random: np.random.Generator) -> tuple[U8, F32]:
    """Return ``turned`` by a random angle, the way in which the head is turned already."""
    now = yaw(marks)
    # Nobody is turned by exactly nothing; those who nearly are may go either way.
    way = np.sign(now + random.normal(0, 0.05))
    angle = min(random.uniform(_LEAST, _MOST), max(_END - abs(now), 0.0))
    return turned(picture, marks, float(way * angle))


@cache
def _topology() -> Topology:
    return weights.topology()


def _upright(marks: F32) -> F32:
    return Place.around(marks).to_crop(marks)
