# SPDX-License-Identifier: Apache-2.0
"""Mouth and eyes, each from the reference that shows them best.

A warp cannot open a shut mouth: the teeth are not in the picture. But another reference of the
bank may show them, and the mesh carries any reference's pixels to the same place. What no
reference shows is painted in the colour that open mouths have on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from talkcodec.motion.landmarks import (
    EYELIDS,
    IRISES,
    LEFT_EYE,
    LEFT_LID_GAP,
    LIP_GAP,
    LIPS,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_EYE,
    RIGHT_LID_GAP,
)
from talkcodec.render.mix import mixed
from talkcodec.types import CANVAS, F32, F64, U8, Bool


@dataclass(frozen=True, slots=True)
class Region:
    """Part of a face that can come from another reference.

    ``compare``: landmarks by whose canonical positions references are ranked; ``outlines``:
    polygons that bound it; ``margin``: how far beyond them it reaches, in inter-ocular distances;
    ``gain``: how much nearer (same unit) another reference must be to replace the primary one;
    ``turn``: what a radian between its look and the target's counts as.
    """

    name: str
    compare: tuple[int, ...]
    outlines: tuple[tuple[int, ...], ...]
    margin: float
    gain: float
    turn: float = 0.0


MOUTH = Region("mouth", LIPS, (LIPS_OUTER,), 0.10, 0.02)
EYES = Region("eyes", EYELIDS + IRISES, (LEFT_EYE, RIGHT_EYE), 0.12, 0.012, 0.05)
REGIONS = (MOUTH, EYES)
# Brows stay with the primary: they move without uncovering anything.


#: Canonical gaps between the lips from which, and up to which, a missing mouth interior fades
#: in. Below, lips merely part, and a dark interior would look like lipstick.
FAINT_GAP, OPEN_GAP = 0.05, 0.16

#: Colour of a mouth's inside that no reference shows, as a share of what lies around the lips.
#: Teeth, tongue and the dark between them come to about 0.87, 0.85, 0.85 (513 frames of 37
#: train people). Darker than that, a mouth looks open at all; at 0.3 it looks like a hole.
INSIDE = np.array([0.70, 0.60, 0.62])


def shape_distance(region: Region, target: F64, reference: F64) -> float:
    """Return the RMS distance of two canonical shapes (478, 3) within ``region``."""
    rows = _rows(region.compare)
    apart = (np.take(target, rows, axis=0) - np.take(reference, rows, axis=0))[:, :2]
    return float(np.sqrt(np.square(apart).sum() / len(rows)))


@cache
def _rows(landmarks: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Return ``landmarks`` as an index: NumPy takes longer to read a tuple than to gather."""
    return np.array(landmarks, np.intp)


def region_mask(region: Region, landmarks: F64, side: int) -> tuple[F32, tuple[slice, slice]]:
    """Return the soft mask of ``region`` around ``landmarks`` in a ``side``² picture.

    And where in the picture that is: the smallest box beyond which it is 0, perhaps empty.
    """
    scale = side / CANVAS
    places = [landmarks[list(o), :2] * scale - 0.5 for o in region.outlines]
    hulls = [np.rint(cv2.convexHull(p.astype(np.float32))).astype(np.int32) for p in places]
    unit = float(np.linalg.norm(landmarks[468, :2] - landmarks[473, :2])) * scale
    reach = max(region.margin * unit, 1.0)
    # Only where it may not be 0: distances on the way there are the same in a part of a picture.
    corners, beyond = np.concatenate(hulls)[:, 0], int(1.25 * reach) + 2
    left, top = np.clip(corners.min(0) - beyond, 0, side).tolist()
    right, bottom = np.clip(corners.max(0) + beyond, 0, side).tolist()
    if right <= left or bottom <= top:
        return np.zeros((0, 0), np.float32), np.s_[0:0, 0:0]
    apart = np.full((bottom - top, right - left), 255, np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(apart, hull - (left, top), 0)
    # By distance, not by dilation: the time must not depend on what a stream says of its face.
    far = cv2.distanceTransform(apart, cv2.DIST_L2, cv2.DIST_MASK_3)
    distance = np.minimum(far, np.float32(4 * side))  # without a face in view it is "infinite"
    mask = np.asarray(np.clip((1.25 * reach - distance) / (0.5 * reach), 0, 1), np.float32)
    x, y, width, height = cv2.boundingRect((mask > 0).view(np.uint8))
    box = np.s_[top + y : top + y + height, left + x : left + x + width]
    return mask[y : y + height, x : x + width], box


def blend(base: U8, patch: U8, mask: F32) -> U8:
    """Blend ``patch`` over ``base`` (H, W, 3) by ``mask`` (H, W), colours matched at its rim."""
    rim: Bool = (mask > 0.05) & (mask < 0.6)
    if rim.sum() < 8:
        return base
    apart = base[rim].astype(np.float32) - patch[rim]
    offset = np.clip(apart.mean(0), -24, 24)
    return mixed(base, patch.astype(np.float32) + offset, mask)


def mouth_gap(shape: F64) -> float:
    """Return how far the lips of a canonical shape (478, 3) are apart, never below 0."""
    return max(float(shape[LIP_GAP[1], 1] - shape[LIP_GAP[0], 1]), 0.0)


def eye_gap(shape: F64) -> float:
    """Return the mean distance between the lids of a canonical shape (478, 3)."""
    gaps = [shape[low, 1] - shape[high, 1] for high, low in (LEFT_LID_GAP, RIGHT_LID_GAP)]
    return float(np.mean(gaps))


def darken_mouth(picture: U8, landmarks: F64, shown: float, wanted: float) -> U8:
    """Paint the inside of a mouth that opens wider (``wanted``) than its source (``shown``).

    Gaps are canonical. A source as open as the target is left alone; a shut one has only lip
    to stretch over the opening, so it is replaced by an interior a little darker than the lips.
    """
    if wanted < FAINT_GAP or shown >= 0.6 * wanted:
        return picture
    missing = 1 - shown / (0.6 * wanted)
    strength = missing * min((wanted - FAINT_GAP) / (OPEN_GAP - FAINT_GAP), 1.0)
    side = picture.shape[0]
    polygon = landmarks[list(LIPS_INNER), :2] * (side / CANVAS) - 0.5
    left, top = np.maximum(np.floor(polygon.min(0)).astype(int) - 4, 0)
    right, bottom = np.minimum(np.ceil(polygon.max(0)).astype(int) + 5, side)
    if right - left < 4 or bottom - top < 4:
        return picture
    local = np.rint((polygon - (left, top)) * 16).astype(np.int32)
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [local], 255, lineType=cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32)[..., None] / 255 * strength
    out = picture.copy()
    area = out[top:bottom, left:right].astype(np.float32)
    tone = np.median(area.reshape(-1, 3), 0) * INSIDE
    out[top:bottom, left:right] = np.rint(area + soft * (tone - area)).astype(np.uint8)
    return out
