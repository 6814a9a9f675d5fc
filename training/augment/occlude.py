# SPDX-License-Identifier: Apache-2.0
"""Things before the face: hands and objects, glasses and their glare."""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.types import F32, F64, U8

Random = np.random.Generator

# Outer and inner corner of the subject's right eye, then of the left, and the bridge of the nose.
_EYES = ((33, 133), (362, 263))
_LIPS_MIDDLE = (13, 14)


def occluder(picture: U8, other: U8, points: F32, random: Random, *, mouth: bool = False) -> U8:
    """Lay a patch of ``other`` (same shape) over the face.

    ``points``: landmarks (478, 2) in pixels. The patch is an ellipse or a blunt polygon 15 to 45 %
    of the face wide, anywhere on it, or on the mouth. ``other`` gives it texture.
    """
    low, high = points.min(0), points.max(0)
    size = float((high - low).max())
    centre = points[list(_LIPS_MIDDLE)].mean(0) if mouth else random.uniform(low, high)
    reach = size * random.uniform(0.15, 0.45, 2) * (0.75 if mouth else 0.5)
    count = int(random.integers(5, 40))
    angles = np.sort(random.uniform(0, 2 * np.pi, count))
    rim = centre + np.column_stack([np.cos(angles), np.sin(angles)]) * reach * random.uniform(
        0.7, 1.1, (count, 1)
    )
    mask = np.zeros(picture.shape[:2], np.float32)
    cv2.fillPoly(mask, [rim.round().astype(np.int32)], 1.0)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), random.uniform(0.4, 2.0)))
    # A hand has the light of the scene: half the time the patch takes the face's own mean colour.
    patch = np.roll(other, tuple(random.integers(0, picture.shape[0], 2)), (0, 1)).astype(
        np.float32
    )
    if random.random() < 0.5:
        patch += picture.mean((0, 1)) * random.uniform(0.6, 1.2) - patch.mean((0, 1))
    return _blend(picture, patch, mask)


def glasses(picture: U8, points: F32, random: Random) -> U8:
    """Draw a spectacle frame around both eyes."""
    canvas = picture.copy()
    colour = (random.uniform(0, 255, 3) * random.uniform(0.1, 1)).tolist()
    width = max(round(float(np.ptp(points[:, 0])) * random.uniform(0.01, 0.04)), 1)
    inner = []
    shape = random.random()
    for outer_corner, inner_corner in _EYES:
        a, b = points[outer_corner], points[inner_corner]
        centre, span = (a + b) / 2, np.linalg.norm(b - a)
        axes = np.array([0.8, 0.6]) * span * random.uniform(0.9, 1.15)
        angle = float(np.degrees(np.arctan2(*(points[263] - points[33])[::-1])))
        if shape < 0.5:
            cv2.ellipse(canvas, (_pair(centre), _pair(axes * 2), angle), colour, width, cv2.LINE_AA)
        else:
            box = cv2.boxPoints((_pair(centre), _pair(axes * 2), angle)).astype(np.int32)
            cv2.polylines(canvas, [box], True, colour, width, cv2.LINE_AA)
        inner.append(centre + (points[168] - centre) * 0.55)
    first, second = (_whole(point) for point in inner)
    cv2.line(canvas, first, second, colour, width, cv2.LINE_AA)
    mix = random.uniform(0.6, 1.0)
    return np.asarray(cv2.addWeighted(canvas, mix, picture, 1 - mix, 0), np.uint8)


def glare(picture: U8, points: F32, random: Random) -> U8:
    """Reflect a lamp or a screen in one or both lenses."""
    mask = np.zeros(picture.shape[:2], np.float32)
    chosen = (0, 1) if random.random() < 0.6 else (int(random.integers(2)),)
    for eye in chosen:
        a, b = points[_EYES[eye][0]], points[_EYES[eye][1]]
        span = float(np.linalg.norm(b - a))
        centre = (a + b) / 2 + random.normal(0, 0.25, 2) * span
        size = span * random.uniform(0.1, 0.6, 2)
        spot = (_pair(centre), _pair(size), float(random.uniform(0, 180)))
        box = cv2.boxPoints(spot).astype(np.int32)
        cv2.fillConvexPoly(mask, box, float(random.uniform(0.3, 0.95)), cv2.LINE_AA)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), random.uniform(0.5, 2)))
    light = np.full_like(picture, 255, np.float32) * random.uniform([0.7, 0.8, 0.85], 1)
    return _blend(picture, light, mask)


def _blend(picture: U8, layer: F32 | F64, mask: F32) -> U8:
    out = picture + (layer - picture) * mask[..., None]
    return np.clip(out, 0, 255).astype(np.uint8)


def _pair(values: F32 | F64) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _whole(point: F32) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
