# SPDX-License-Identifier: Apache-2.0
"""What the networks of mouth and eyes are given, and how what they add comes into the picture.

A crop is upright, follows its part and grows with the face: a network sees every mouth at about one
size. Beside the part as drawn so far it is shown the reference that tells most of it: the widest
open mouth, for a shut one tells nothing of its teeth, and the eyes that are shut most, for every
other reference shows open ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from talkcodec.motion.landmarks import (
    EYELIDS,
    IRISES,
    LIP_GAP,
    LIPS,
    LIPS_INNER,
    LIPS_OUTER,
)
from talkcodec.render.cells import pixels, planes
from talkcodec.render.drive import eyes, polygons
from talkcodec.render.field import layered
from talkcodec.render.mix import mixed
from talkcodec.types import CANVAS, F32, F64, U8

#: Smallest and largest width of a crop, canvas units.
_WIDTHS = (16.0, float(CANVAS))
#: Share of a crop, at each of its edges, over which the network's say fades.
_FADE = 0.2


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the face that has a network of its own, of the same ``name``.

    ``width``, ``height``: of its crop, pixels. ``share``: width of the crop in face sizes: the
    length of the way from iris to iris and then to the lips, as the hypotenuse of both, so that
    neither a turn nor a nod makes it small. ``centre``: landmarks in whose middle it lies.
    ``outlines``: draws points (478, 2) of the crop, pixels from the centre of its first, as two
    planes, 255 inside.
    """

    name: str
    width: int
    height: int
    share: float
    centre: tuple[int, ...]
    outlines: Callable[[F64, int, int], tuple[U8, U8]]

    def box(self, landmarks: F64) -> F64:
        """Return the map (2, 3) from pixels of the crop to canvas units: landmarks (478, 3)."""
        right, left, lip = _bounded(landmarks[[IRISES[0], IRISES[5], LIP_GAP[0]], :2])
        across = left - right
        down = lip - (left + right) / 2
        size = float(np.hypot(np.linalg.norm(across), np.linalg.norm(down)))
        scale = min(max(self.share * size, _WIDTHS[0]), _WIDTHS[1]) / self.width
        roll = float(np.arctan2(across[1], across[0]))
        cosine, sine = scale * np.cos(roll), scale * np.sin(roll)
        box = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
        middle = _bounded(landmarks[list(self.centre), :2]).mean(0)
        box[:, 2] = middle - box[:, :2] @ (self.width / 2, self.height / 2)
        return box

    def planes(self, picture: U8, landmarks: F64, box: F64, told: U8) -> U8:
        """Return what the network is given, uint8 (9, height, width).

        ``picture``: (S, S, 3) as drawn so far, ``landmarks``: (478, 3), canvas units, that it
        should have; ``box``: of them; ``told``: of the reference that tells most of the part.
        """
        wanted = self.outlines(_inside(landmarks, box), self.width, self.height)
        layers = [*cv2.split(self.crop(picture, box)), *wanted, *told]
        return planes(np.asarray(cv2.merge(layers), np.uint8))

    def told(self, picture: U8, landmarks: F64) -> U8:
        """Return what a reference tells, uint8 (4, height, width): its crop and first outline."""
        box = self.box(landmarks)
        shown, _ = self.outlines(_inside(landmarks, box), self.width, self.height)
        return np.stack([*cv2.split(self.crop(picture, box)), shown])

    def crop(self, picture: U8, box: F64) -> U8:
        """Return the crop ``box`` of ``picture`` (S, S, 3), uint8 (height, width, 3)."""
        picture = shrunk(picture)  # the networks have seen crops of such pictures only
        matrix = _pixels(box, picture.shape[0])
        flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        size = (self.width, self.height)
        return np.asarray(
            cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=border), np.uint8
        )

    def replaced(self, painted: U8, warped: U8, change: F32, box: F64) -> U8:
        """Return ``painted`` (S, S, 3) with this part of it replaced.

        By what is there in ``warped`` (S, S, 3), of which the network was given the crop ``box``,
        and ``change``: (3, height, width), its answer, in 8-bit steps.
        """
        side = painted.shape[0]
        to_picture = _pixels(box, side)
        ends = np.array([[x, y] for x in (0, self.width) for y in (0, self.height)]) - 0.5
        corners = ends @ to_picture[:, :2].T + to_picture[:, 2]
        left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, side).tolist()
        right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, side).tolist()
        if right - left < 2 or bottom - top < 2:
            return painted
        to_picture[:, 2] -= (left, top)
        # The fourth layer, of ones before, is the network's say.
        said = cv2.cvtColor(pixels(change), cv2.COLOR_RGB2RGBA) * _says(self.width, self.height)
        layers = cv2.warpAffine(said, to_picture, (right - left, bottom - top))
        out, place = painted.copy(), np.s_[top:bottom, left:right]
        share = np.asarray(cv2.extractChannel(layers, 3), np.float32)
        added = np.asarray(cv2.cvtColor(layers, cv2.COLOR_RGBA2RGB), np.float32)
        out[place] = mixed(painted[place], warped[place], share, added)
        return out


def shrunk(picture: U8) -> U8:
    """Return ``picture`` (S, S, 3) at the canvas's size if it is larger."""
    if picture.shape[0] <= CANVAS:
        return picture
    size = (CANVAS, CANVAS)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


@cache
def window(width: int, height: int) -> F32:
    """Return how much a network has to say, float32 (height, width): 1 but for the edges."""
    out = np.outer(_rise(height), _rise(width)).astype(np.float32)
    out.setflags(write=False)
    return out


@cache
def _says(width: int, height: int) -> F32:
    """Return ``window`` for each of four layers, float32 (height, width, 4)."""
    return layered(window(width, height), 4)


def _rise(count: int) -> F64:
    near = np.minimum(np.arange(count) + 0.5, count - 0.5 - np.arange(count)) / (_FADE * count)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(near, 0, 1)))


def _bounded(points: F64) -> F64:
    """Return ``points`` (n, 2), canvas units, no further out than a face may lie."""
    return np.clip(points, -4 * CANVAS, 4 * CANVAS)


def _pixels(box: F64, side: int) -> F64:
    """Return ``box`` as a map between pixel centres, of the crop and of a picture of ``side``."""
    scaled = box * (side / CANVAS)
    scaled[:, 2] += scaled[:, :2] @ np.full(2, 0.5) - 0.5
    return np.asarray(scaled)


def _inside(landmarks: F64, box: F64) -> F64:
    """Return where ``landmarks`` (478, 3) are in the crop ``box``: (478, 2), pixel centres."""
    points = (landmarks[:, :2] - box[:, 2]) @ np.linalg.inv(box[:, :2]).T - 0.5
    return np.asarray(np.clip(points, -1000, 1000))


def _lips(points: F64, width: int, height: int) -> tuple[U8, U8]:
    """The opening between the lips, and the lips with it."""
    inner, outer = (polygons(points, width, height, part) for part in (LIPS_INNER, LIPS_OUTER))
    return inner, outer


MOUTH_PART = Part("mouth", 80, 80, 0.9, LIPS, _lips)
EYES_PART = Part("eyes", 128, 48, 1.4, EYELIDS, eyes)

#: In the order in which they are painted.
PARTS = (MOUTH_PART, EYES_PART)
