# SPDX-License-Identifier: Apache-2.0
"""Where mouth and eyes are looked at from nearer, and which landmarks are read there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcodec.face.place import Place
from talkcodec.motion.landmarks import LEFT_EYE, LEFT_IRIS, LIPS, RIGHT_EYE, RIGHT_IRIS
from talkcodec.types import F32, F64, U8

_MIRROR = np.array([-1, 1], np.float32)

# The left iris' points in the order in which those of the right one lie when mirrored.
_LEFT_IRIS_MIRRORED = tuple(LEFT_IRIS[i] for i in (0, 3, 2, 1, 4))


@dataclass(frozen=True, slots=True)
class Detail:
    """A part of a face. ``points``: the landmarks read there, in the network's order; ``about``:
    those whose mean is the crop's middle; ``share``: the crop's side in sides of the face's place;
    ``mirrored``: whether the network sees it so.
    """

    name: str
    points: tuple[int, ...]
    about: tuple[int, ...]
    share: float
    mirrored: bool = False

    def place(self, landmarks: F32 | F64, face: Place) -> Place:
        """Return where to look, given ``landmarks``, float (478, 2 or more) in pixels."""
        x, y = landmarks[list(self.about), :2].mean(0)
        return Place(float(x), float(y), self.share * face.side, face.roll)

    def crop(self, picture: U8, place: Place, side: int) -> U8:
        """Return ``place`` of ``picture``, uint8 (H, W, 3), as the network sees it: uint8 (1, 3,
        S, S).
        """
        seen = place.crop(picture, side)
        if self.mirrored:
            seen = seen[:, ::-1]
        return np.ascontiguousarray(seen.transpose(2, 0, 1)[None])

    def to_crop(self, landmarks: F32, place: Place) -> F32:
        """Return what the network should say: float32 (N, 2) of landmarks (478, 3) in pixels."""
        told = place.to_crop(landmarks[list(self.points)])[:, :2]
        return told * _MIRROR if self.mirrored else told

    def to_picture(self, told: F32, place: Place) -> F32:
        """Return what the network said, float32 (N, 2), in pixels of the picture: (N, 2)."""
        points = np.zeros((len(told), 3), np.float32)
        points[:, :2] = told * _MIRROR if self.mirrored else told
        return place.to_picture(points)[:, :2]


#: By the names of the network's inputs.
DETAILS: Sequence[Detail] = (
    Detail("mouth", LIPS, LIPS, 0.38),
    Detail("right", RIGHT_EYE + RIGHT_IRIS, RIGHT_EYE, 0.22),
    Detail("left", LEFT_EYE + _LEFT_IRIS_MIRRORED, LEFT_EYE, 0.22, mirrored=True),
)
