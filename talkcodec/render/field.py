# SPDX-License-Identifier: Apache-2.0
"""The whole picture's backward flow: the face's, carried outwards and faded to stillness.

Hair and neck follow the head, the background does not. Without a person mask the fade is a
matter of distance: the flow just outside the face is the harmonic-like extension of the flow
at its rim (a pyramid fill), blended into the rigid motion of the head, and dies out within
about a head's width. What that gets wrong, the residual layer of the stream corrects.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.motion.landmarks import OVAL
from talkcodec.types import CANVAS, F32, F64, Bool

#: Distances from the face oval, in face heights, between which the head's motion fades out.
FADE_START, FADE_END = 0.05, 0.60


def extend(flow: F32, inside: Bool) -> F32:
    """Fill ``flow`` (n, n, 2) outside ``inside`` (n, n) smoothly from its rim.

    Push-pull (Gortler et al., The Lumigraph, 1996, §3.4): average downwards counting only
    known pixels, then fill unknown ones from the coarser level upwards. ``n`` a power of two.
    """
    weight = inside.astype(np.float32)
    levels = [(flow * weight[..., None], weight)]
    while levels[-1][1].shape[0] > 2:
        total, known = levels[-1]
        half = (known.shape[1] // 2, known.shape[0] // 2)
        coarse_total = np.asarray(cv2.resize(total, half, interpolation=cv2.INTER_AREA), np.float32)
        coarse_known = np.asarray(cv2.resize(known, half, interpolation=cv2.INTER_AREA), np.float32)
        levels.append((coarse_total, coarse_known))
    total, known = levels.pop()
    filled = total / np.maximum(known, 1e-6)[..., None]
    for total, known in reversed(levels):
        size = (known.shape[1], known.shape[0])
        coarse = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
        share = np.minimum(known * 4, 1.0)[..., None]
        filled = share * total / np.maximum(known, 1e-6)[..., None] + (1 - share) * coarse
    return np.asarray(filled, np.float32)


def rim_distance(target: F64, side: int) -> F32:
    """Return each pixel's distance outside the face oval, in face heights: (side, side) ≥ 0."""
    oval = target[list(OVAL), :2] * (side / CANVAS)
    mask = np.full((side, side), 255, np.uint8)
    hull = cv2.convexHull(oval.astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 0)
    height = max(float(np.ptp(oval[:, 1])), 1.0)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(distance / height, np.float32)


def head_flow(target: F64, source: F64, side: int) -> F32:
    """Return the flow of the head as a similarity fitted to the oval: (side, side, 2)."""
    to, back = target[list(OVAL), :2], source[list(OVAL), :2]
    to_mean, back_mean = to.mean(0), back.mean(0)
    a, b = to - to_mean, back - back_mean
    power = max(float((a**2).sum()), 1e-6)
    cosine = float((a * b).sum()) / power
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / power
    grid = (np.arange(side, dtype=np.float32) + 0.5) * (CANVAS / side)
    x, y = grid[None, :] - np.float32(to_mean[0]), grid[:, None] - np.float32(to_mean[1])
    shift = (back_mean - to_mean).astype(np.float32)
    flow = np.empty((side, side, 2), np.float32)
    flow[..., 0] = (cosine - 1) * x - sine * y + shift[0]
    flow[..., 1] = sine * x + (cosine - 1) * y + shift[1]
    return flow


def whole_flow(face: F32, inside: Bool, target: F64, source: F64, coarse: int = 64) -> F32:
    """Return the flow of the whole picture (n, n, 2) from the flow inside the face.

    ``face``: float32 (n, n, 2), canvas units; ``inside``: where it is known. The extension is
    computed on a ``coarse``² grid: it is smooth.
    """
    side = face.shape[0]
    known = cv2.resize(inside.astype(np.float32), (coarse, coarse), interpolation=cv2.INTER_AREA)
    total = cv2.resize(face, (coarse, coarse), interpolation=cv2.INTER_AREA)
    solid = known > 0.5
    small = np.where(solid[..., None], total / np.maximum(known, 1e-6)[..., None], 0)
    distance = rim_distance(target, coarse)
    head = head_flow(target, source, coarse)
    near = np.clip(1 - distance / 0.25, 0, 1)[..., None]
    outside = near * extend(small.astype(np.float32), solid) + (1 - near) * head
    fade = np.clip((FADE_END - distance) / (FADE_END - FADE_START), 0, 1)
    fade = (fade * fade * (3 - 2 * fade))[..., None]
    spread = cv2.resize(outside * fade, (side, side), interpolation=cv2.INTER_LINEAR)
    # Feather over a few pixels so that no seam shows where the mesh ends.
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    soft = cv2.GaussianBlur(core, (5, 5), 0)[..., None] * inside[..., None]
    return np.asarray(soft * face + (1 - soft) * spread, np.float32)
