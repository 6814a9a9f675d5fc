# SPDX-License-Identifier: Apache-2.0
"""Backward flow inside the face: the landmark mesh, rasterised.

Each triangle of the face mesh moves affinely, so the flow meets every landmark exactly, cannot
overshoot between them, and a bad landmark bends only its own neighbourhood. (A thin-plate
spline through the same points solves a dense system a frame and shears on one bad point.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file

from talkcodec.types import CANVAS, F32, F64, I32, Bool

_SHIFT = 4  # sub-pixel bits of OpenCV's polygon filler


@dataclass(frozen=True, slots=True)
class Topology:
    """Triangles over the 478 landmarks: int32 (T, 3), wound alike in a frontal face.

    The last ``mouth`` of them span the inner lips, where a reference may have nothing to show.
    """

    triangles: I32
    mouth: int

    @classmethod
    def load(cls, path: Path) -> Topology:
        """Read the tensors ``skin``, ``eyes`` and ``mouth``, each int32 (n, 3)."""
        parts = load_file(path)
        order = [parts["skin"], parts["eyes"], parts["mouth"]]
        return cls(np.concatenate(order).astype(np.int32), len(parts["mouth"]))


def rasterise(topology: Topology, landmarks: F64, side: int) -> I32:
    """Return which triangle covers each pixel of a ``side``² grid, or -1: int32 (side, side).

    ``landmarks``: (478, 3) in canvas units. Triangles that face away are skipped and the rest
    painted from far to near, so a turned head hides its far cheek behind the nose.
    """
    points = landmarks[:, :2] * (side / CANVAS) - 0.5
    corners = points[topology.triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    facing = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    depth = landmarks[:, 2][topology.triangles].mean(1)
    order = np.argsort(-depth, kind="stable")
    order = order[facing[order] > 0]
    fixed = np.clip(np.rint(corners * (1 << _SHIFT)), -32768, 32767).astype(np.int32)
    ids = np.full((side, side), -1, np.int32)
    for index, polygon in zip(order.tolist(), fixed[order], strict=True):
        cv2.fillConvexPoly(ids, polygon, index, lineType=cv2.LINE_8, shift=_SHIFT)
    return ids


def affine_maps(topology: Topology, target: F64, source: F64) -> F32:
    """Return per triangle the affine map from target to source: float32 (T, 2, 3), canvas units."""
    # By coordinates, each an array of all triangles: many times as quick as small matrices.
    a, b, c = (target[:, :2].T[:, corner] for corner in topology.triangles.T)
    e, f, g = (source[:, :2].T[:, corner] for corner in topology.triangles.T)
    (ux, uy), (vx, vy) = b - a, c - a
    area = ux * vy - uy * vx
    area = np.where(np.abs(area) < 1e-3, 1e-3, area)
    maps = np.empty((len(topology.triangles), 2, 3), np.float32)
    for axis, (first, second) in enumerate(zip(f - e, g - e, strict=True)):
        across = (first * vy - second * uy) / area
        down = (second * ux - first * vx) / area
        maps[:, axis, 0], maps[:, axis, 1] = across, down
        maps[:, axis, 2] = e[axis] - across * a[0] - down * a[1]
    return maps


def displacement(topology: Topology, target: F64, source: F64, ids: I32, x: F32, y: F32) -> F32:
    """Return how far it is from target points to the source: float32 (..., 2), canvas units.

    ``ids`` (...): the triangle of each point, ``x`` and ``y`` its place, broadcastable to that.
    """
    # One row a triangle, gathered once: its map less the identity, then its corners' limits.
    maps = affine_maps(topology, target, source) - np.eye(2, 3, dtype=np.float32)
    moved = (source[:, :2] - target[:, :2]).astype(np.float32)
    a, b, c = (moved[corner] for corner in topology.triangles.T)
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    rows = np.concatenate([maps.reshape(-1, 6), low, high], 1)
    of = np.take(rows, ids, axis=0)
    shift = np.empty((*ids.shape, 2), np.float32)
    for axis in range(2):
        across, down, fixed = (of[..., 3 * axis + k] for k in range(3))
        # A pixel's centre may lie beside a thin triangle, where its map runs away: a bright dot.
        far = across * x + down * y + fixed
        np.clip(far, of[..., 6 + axis], of[..., 8 + axis], out=shift[..., axis])
    return shift


def face_flow(topology: Topology, target: F64, source: F64, side: int) -> tuple[F32, Bool, I32]:
    """Return the displacement from target pixels to the source inside the face.

    ``target``, ``source``: landmarks (478, 3). Returns flow float32 (side, side, 2) in canvas
    units (0 outside), the face's mask, and the triangle under each pixel.
    """
    ids = rasterise(topology, target, side)
    inside = ids >= 0
    rows, columns = np.nonzero(inside)
    unit = CANVAS / side
    x, y = ((columns + 0.5) * unit).astype(np.float32), ((rows + 0.5) * unit).astype(np.float32)
    flow = np.zeros((side, side, 2), np.float32)
    flow[rows, columns] = displacement(topology, target, source, ids[rows, columns], x, y)
    return flow, inside, ids
