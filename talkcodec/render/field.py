# SPDX-License-Identifier: Apache-2.0
"""The whole picture's backward flow: the face's, carried outwards and faded to stillness.

Hair and neck follow the head, the background does not. Without a person mask the fade is a
matter of distance: the flow just outside the face is the harmonic-like extension of the flow
at its rim (a pyramid fill), blended into the rigid motion of the head, and dies out within
about a head's width, or later after a long way. What that gets wrong, the residual layer of the
stream corrects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from talkcodec.motion.landmarks import OVAL
from talkcodec.motion.shape import fit_pose
from talkcodec.types import CANVAS, F32, F64, U8, Bool


@dataclass(frozen=True, slots=True)
class FieldConfig:
    """How the head's motion reaches outwards; distances in face heights from the face's oval.

    ``fade``: between which distances it fades out, at least; ``steepest``: by how many units it
    may fade for one of way. ``near``: within which distance the flow at the oval turns into the
    head's. ``recedes``: by how many units the head recedes for one of way outwards, and
    ``recedes_until`` which distance. ``python -m training.warp_table`` compares values.
    """

    fade: tuple[float, float] = (0.05, 0.60)
    steepest: float = 0.55
    near: float = 0.1
    recedes: float = 1.0
    recedes_until: float = 0.2


#: Side of the grid on which what lies outside the face is computed, and of that of its depth.
FIELD_SIDE, _DEEP = 64, 16
_DEFAULT = FieldConfig()


@cache
def pixel_grid(side: int) -> F32:
    """Return the indices x, y of each pixel: float32 (side, side, 2), read only."""
    at = np.arange(side, dtype=np.float32)
    out = np.stack(np.meshgrid(at, at), -1)
    out.setflags(write=False)
    return out


def sampled(picture: U8, at: F32, interpolation: int) -> U8:
    """Return ``picture`` at the places ``at``: indices x, y, float32 (h, w, 2). Its edges reach on.

    One map of pairs: NumPy and OpenCV are both done with it sooner than with two.
    """
    no_second: Any = None  # OpenCV's stubs want one
    return np.asarray(
        cv2.remap(picture, at, no_second, interpolation, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def layered(weight: F32, count: int = 2) -> F32:
    """Return ``weight`` (n, n) for each of ``count`` components: float32 (n, n, count).

    NumPy multiplies two such arrays many times as quickly as it repeats one along so short an axis.
    """
    return np.asarray(cv2.merge([weight] * count).reshape(*weight.shape, count), np.float32)


def extend(flow: F32, inside: Bool) -> F32:
    """Fill ``flow`` (n, n, k) outside ``inside`` (n, n) smoothly from its rim.

    Push-pull (Gortler et al., The Lumigraph, 1996, §3.4): average downwards counting only
    known pixels, then fill unknown ones from the coarser level upwards. ``n`` a power of two.
    """
    count, weight = flow.shape[2], inside.astype(np.float32)
    levels = [(flow * layered(weight, count), weight)]
    while levels[-1][1].shape[0] > 2:
        total, known = levels[-1]
        half = (known.shape[1] // 2, known.shape[0] // 2)
        coarse_total = _resized(total, half, cv2.INTER_AREA)
        coarse_known = np.asarray(cv2.resize(known, half, interpolation=cv2.INTER_AREA), np.float32)
        levels.append((coarse_total, coarse_known))
    total, known = levels.pop()
    filled = np.asarray(total / layered(np.maximum(known, 1e-6), count), np.float32)
    for total, known in reversed(levels):
        size = (known.shape[1], known.shape[0])
        coarse = _resized(filled, size, cv2.INTER_LINEAR)
        share = layered(np.minimum(known * 4, 1.0), count)
        mean = total / layered(np.maximum(known, 1e-6), count)
        filled = np.asarray(share * mean + (1 - share) * coarse, np.float32)
    return filled


def _resized(field: F32, size: tuple[int, int], interpolation: int) -> F32:
    """Resize a field (h, w, k); OpenCV drops the last axis where k is 1."""
    out = cv2.resize(field, size, interpolation=interpolation)
    return np.asarray(out.reshape(size[1], size[0], -1), np.float32)


def rim_distance(target: F64, side: int) -> F32:
    """Return each pixel's distance outside the face oval, in face heights: (side, side) ≥ 0."""
    oval = target[list(OVAL), :2] * (side / CANVAS)
    mask = np.full((side, side), 255, np.uint8)
    hull = cv2.convexHull(oval.astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 0)
    height = max(float(np.ptp(oval[:, 1])), 1.0)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(distance / height, np.float32)


def rim_depth(target: F64, side: int) -> F32:
    """Return the depth of the face's oval, spread over the picture: (side, side), canvas units."""
    rim, coarse = target[list(OVAL)], _DEEP
    cell = np.clip((rim[:, :2] * (coarse / CANVAS)).astype(np.int64), 0, coarse - 1)
    place, cells = cell[:, 1] * coarse + cell[:, 0], coarse * coarse
    count = np.bincount(place, minlength=cells)
    mean = np.bincount(place, rim[:, 2], cells) / np.maximum(count, 1)
    depth = mean.astype(np.float32).reshape(coarse, coarse, 1)
    filled = extend(depth, count.reshape(coarse, coarse) > 0)
    return _resized(filled, (side, side), cv2.INTER_LINEAR)[..., 0]


@dataclass(frozen=True, slots=True)
class Surround:
    """What the flow around a face depends on of the target alone, for flows to all references.

    ``covered``: float32 (64, 64), which part of each cell the face covers. ``distance`` and
    ``depth``: float32 (64, 64), of ``rim_distance`` and ``rim_depth``. ``soft``: float32
    (n, n, 2), how much of the face's own flow is left: over a few pixels it turns into what is
    around it, so that no seam shows where the mesh ends.
    """

    covered: F32
    distance: F32
    depth: F32
    soft: F32

    @classmethod
    def of(cls, target: F64, inside: Bool) -> Surround:
        """Return that of ``target``, landmarks (478, 3); ``inside``: its face, bool (n, n)."""
        face, coarse = inside.astype(np.uint8), (FIELD_SIDE, FIELD_SIDE)
        core = cv2.erode(face, np.ones((3, 3), np.uint8)).astype(np.float32)
        return cls(
            np.asarray(
                cv2.resize(face.astype(np.float32), coarse, interpolation=cv2.INTER_AREA),
                np.float32,
            ),
            rim_distance(target, FIELD_SIDE),
            rim_depth(target, FIELD_SIDE),
            layered(np.asarray(cv2.GaussianBlur(core, (5, 5), 0) * inside, np.float32)),
        )


def head_flow(
    target: F64,
    source: F64,
    around: Surround,
    rigidity: F64 | None = None,
    config: FieldConfig = _DEFAULT,
) -> F32:
    """Return the flow of the head as a rigid body in space: (64, 64, 2), canvas units.

    The pose is fitted to the landmarks (478, 3), weighted by ``rigidity`` (478,), for a jaw that
    drops moves no hair. Outwards from the oval, whose own depth is known, the head recedes: where
    it turns, hair and ears lag behind the face, or move against it.
    """
    side = around.distance.shape[0]
    weights = np.ones(len(target)) if rigidity is None else rigidity
    scale, rotation, shift = fit_pose(target, source, weights)
    back = np.float32(config.recedes * np.ptp(target[list(OVAL), 1]))
    until = np.float32(config.recedes_until)
    deep = around.depth + back * np.minimum(around.distance, until)
    at = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(CANVAS / side)
    turn = np.asarray(scale * rotation[:2] - np.eye(2, 3), np.float32)
    planes = [
        across * at[None, :] + down * at[:, None] + inwards * deep + np.float32(moved)
        for (across, down, inwards), moved in zip(turn, shift[:2], strict=True)
    ]
    return np.asarray(cv2.merge(planes), np.float32)


def fade_end(target: F64, source: F64, config: FieldConfig = _DEFAULT) -> float:
    """Return the distance from the oval, in face heights, at which the head's motion has died out.

    The further the head moved the wider, so that the fade never stretches what is there by much.
    """
    rim, origin = target[list(OVAL), :2], source[list(OVAL), :2]
    moved = float(np.sqrt(((rim - origin) ** 2).sum(1)).max())
    height = max(float(np.ptp(rim[:, 1])), 1.0)
    # A smooth step is one and a half times as steep in its middle as a straight one.
    start, end = config.fade
    return max(end, start + 1.5 * moved / (config.steepest * height))


def whole_flow(
    face: F32,
    around: Surround,
    target: F64,
    source: F64,
    rigidity: F64 | None = None,
    config: FieldConfig = _DEFAULT,
) -> F32:
    """Return the flow of the whole picture (n, n, 2) from the flow inside the face.

    ``face``: float32 (n, n, 2), canvas units, 0 where it is not known. ``around``: of the target:
    the extension is computed on its coarser grid, for it is smooth. ``rigidity``: weights of the
    landmarks where the head's pose is fitted.
    """
    side, coarse = face.shape[0], (FIELD_SIDE, FIELD_SIDE)
    total = cv2.resize(face, coarse, interpolation=cv2.INTER_AREA)
    mean = np.asarray(total / layered(np.maximum(around.covered, 1e-6)), np.float32)
    head = head_flow(target, source, around, rigidity, config)
    near = layered(np.clip(1 - around.distance / np.float32(config.near), 0, 1))
    outside = near * extend(mean, around.covered > 0.5) + (1 - near) * head
    start, end = config.fade[0], fade_end(target, source, config)
    fade = np.clip((end - around.distance) / np.float32(end - start), 0, 1)
    fade = layered(fade * fade * (3 - 2 * fade))
    spread = cv2.resize(outside * fade, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(around.soft * face + (1 - around.soft) * spread, np.float32)
