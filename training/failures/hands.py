# SPDX-License-Identifier: Apache-2.0
"""Hands drawn from joints: enough of one to hide a face as a hand does.

A hand is drawn back to front, forearm first and fingers last, each part lit as a round thing
and darker at its rim, in the skin colour of the face that it hides. Lengths are in palm widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from talkcodec.types import F32, F64, U8

Random = np.random.Generator

#: Of index, middle, ring and little finger: where it begins across the palm, lengths, spread.
_FINGERS = (
    (-0.36, (0.48, 0.30, 0.22), 0.16),
    (-0.12, (0.54, 0.34, 0.24), 0.04),
    (0.12, (0.50, 0.32, 0.24), -0.06),
    (0.34, (0.38, 0.24, 0.20), -0.18),
)
_THUMB = (0.42, 0.34)
_PALM = 1.0


@dataclass(frozen=True, slots=True)
class Hand:
    """One hand. ``width``: of its palm, in pixels; ``colour``: of its skin, 0 to 255 (3,).

    ``spread`` 0 to 1.6 parts the fingers, ``curl`` 0 to 1 bends them; ``left`` mirrors it.
    """

    width: float
    colour: F32
    spread: float
    curl: float
    left: bool
    seed: int

    @classmethod
    def random(cls, width: float, skin: F32, random: Random) -> Hand:
        """Draw a hand that belongs to a face of ``skin`` colour."""
        tone = skin * random.uniform(0.85, 1.12) * random.uniform(0.98, 1.02, 3)
        return cls(
            width,
            tone.astype(np.float32),
            float(random.uniform(0.1, 1.6)),
            float(random.uniform(0.0, 0.45)),
            bool(random.random() < 0.5),
            int(random.integers(1 << 31)),
        )

    def draw(self, size: tuple[int, int], wrist: F64, angle: float, wiggle: float) -> F32:
        """Return colour and cover, float32 (H, W, 4), colours times cover.

        ``wrist``: x, y in pixels; ``angle``: where the fingers point, 0 is up, in radians;
        ``wiggle``: radians that fingers are bent by just now.
        """
        layer = np.zeros((*size, 4), np.float32)
        random = np.random.default_rng(self.seed)
        noise = random.normal(0, 1, (24, 24)).astype(np.float32)
        grain = np.asarray(cv2.resize(noise, size[::-1]), np.float32)
        side = -1.0 if self.left else 1.0
        place = _Place(wrist, angle, self.width, side)
        arm = [(0.0, -2.6), (0.0, -0.1)]
        self._part(layer, [place(*p) for p in arm], (0.40, 0.30), grain)
        self._part(layer, [place(0.0, 0.15), place(0.0, 0.75)], (0.40, 0.50), grain)
        self._part(layer, _thumb(place, self.spread, wiggle), (0.17, 0.14, 0.12), grain)
        for across, lengths, fan in _FINGERS:
            bend = self.curl + wiggle * (1 + across)
            joints = _finger(place, across, lengths, fan * (0.4 + self.spread), bend)
            self._part(layer, joints, (0.135, 0.125, 0.115, 0.10), grain)
            self._nail(layer, joints, place)
        return layer

    def _part(self, layer: F32, joints: list[F64], radii: tuple[float, ...], grain: F32) -> None:
        """Lay a chain of capsules over ``layer``."""
        reach = max(radii) * self.width
        box, corner = _box(layer.shape, joints, reach + 2)
        if box is None:
            return
        part = layer[box]
        mask = np.zeros(part.shape[:2], np.uint8)
        for index, (a, b) in enumerate(pairwise(joints)):
            first, last = (radii[min(i, len(radii) - 1)] * self.width for i in (index, index + 1))
            for t in np.linspace(0, 1, 9):
                x, y = (float(v) for v in (a + (b - a) * t - corner) * 16)
                size = round((first + (last - first) * t) * 16)
                cv2.circle(mask, (round(x), round(y)), size, 255, -1, cv2.LINE_AA, 4)
        depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3) / reach
        shade = (0.62 + 0.38 * np.sqrt(np.clip(depth, 0, 1))) * (1 + 0.04 * grain[box])
        cover = (mask.astype(np.float32) / 255)[..., None]
        tone = np.clip(self.colour * shade[..., None], 0, 255)
        part[..., :3] = part[..., :3] * (1 - cover) + tone * cover
        part[..., 3:] = part[..., 3:] * (1 - cover) + cover

    def _nail(self, layer: F32, joints: list[F64], place: _Place) -> None:
        tip, before = joints[-1], joints[-2]
        angle = float(np.degrees(np.arctan2(*(tip - before)[::-1])))
        size = (0.085 * place.width, 0.06 * place.width)
        box, corner = _box(layer.shape, [tip], size[0] + 2)
        if box is None:
            return
        part = layer[box]
        nail = np.zeros(part.shape[:2], np.uint8)
        x, y = (float(v) for v in tip - corner)
        cv2.ellipse(nail, ((x, y), (2 * size[0], 2 * size[1]), angle), 255, -1, cv2.LINE_AA)
        cover = (nail.astype(np.float32) / 255)[..., None] * 0.6 * part[..., 3:]
        tone = np.clip(self.colour * np.array([1.15, 1.05, 1.05]), 0, 255)
        part[..., :3] = part[..., :3] * (1 - cover) + tone * cover


def _box(
    shape: tuple[int, ...], points: list[F64], reach: float
) -> tuple[tuple[slice, slice] | None, F64]:
    """Return the part of a picture around ``points``, if there is any, and its top left corner."""
    low = np.floor(np.min(points, 0) - reach).clip(0, None).astype(int)
    high = np.ceil(np.max(points, 0) + reach).clip(None, (shape[1], shape[0])).astype(int)
    if (high <= low).any():
        return None, low.astype(np.float64)
    return np.s_[low[1] : high[1], low[0] : high[0]], low.astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hand is: maps palm widths, x across and y towards the fingers, to pixels."""

    wrist: F64
    angle: float
    width: float
    side: float

    def __call__(self, x: float, y: float) -> F64:
        c, s = np.cos(self.angle), np.sin(self.angle)
        x *= self.side
        return np.asarray(self.wrist + self.width * np.array([x * c + y * s, x * s - y * c]))


def _finger(
    place: _Place, across: float, lengths: tuple[float, ...], fan: float, bend: float
) -> list[F64]:
    """Return the joints of a finger; bent away from the camera it looks shorter."""
    x, y = across, _PALM
    out = [place(x, y)]
    for index, length in enumerate(lengths):
        seen = length * float(np.cos(min(bend * (index + 1) * 0.6, 1.45)))
        x, y = x - np.sin(fan) * seen, y + np.cos(fan) * seen
        out.append(place(x, y))
    return out


def _thumb(place: _Place, spread: float, wiggle: float) -> list[F64]:
    angle = 0.5 + 0.4 * spread + wiggle
    x, y = -0.42, 0.25
    out = [place(x, y)]
    for length in _THUMB:
        x, y = x - np.sin(angle) * length, y + np.cos(angle) * length
        out.append(place(x, y))
        angle *= 0.7
    return out


def skin_colour(picture: U8, landmarks: F32) -> F32:
    """Return the median colour of the cheeks, float32 (3,), of landmarks (478, 3) in pixels."""
    height, width = picture.shape[:2]
    spots = []
    for index in (50, 280, 205, 425, 151):
        x, y = (round(float(v)) for v in landmarks[index, :2])
        if 2 <= x < width - 2 and 2 <= y < height - 2:
            spots.append(picture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3))
    if not spots:
        return np.array([170, 125, 105], np.float32)
    return np.asarray(np.median(np.concatenate(spots), 0), np.float32)
