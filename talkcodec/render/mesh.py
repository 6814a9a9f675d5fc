# SPDX-License-Identifier: Apache-2.0
"""Backward flow inside the face: the landmark mesh, rasterised.

Each triangle of the face mesh moves affinely, so the flow meets every landmark exactly, cannot
overshoot between them, and a bad landmark bends only its own neighbourhood. (A thin-plate
spline through the same points solves a dense system a frame and shears on one bad point.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from talkcodec.render.field import pixel_grid
from talkcodec.render.raster import paint
from talkcodec.types import CANVAS, F32, F64, I32


@dataclass(frozen=True)
class Topology:
    """Triangles over the 478 landmarks: int32 (T, 3), wound alike in a frontal face.

    The last ``mouth`` of them span the inner lips, where a reference may have nothing to show.
    """

    triangles: I32
    mouth: int

    @cached_property
    def _corners(self) -> npt.NDArray[np.intp]:
        return np.ascontiguousarray(self.triangles.T, np.intp)

    def corners(self, points: F64) -> F64:
        """Return where the corners of all triangles are, of ``points`` (478, 2 or 3): (2, 3, T)."""
        # By coordinates, each an array of all triangles: many times as quick as small matrices.
        return np.asarray(np.take(points[:, :2].T, self._corners, axis=1), np.float64)

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
    x, y = topology.corners(landmarks[:, :2] * (side / CANVAS) - 0.5)
    facing = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    depth = landmarks[:, 2][topology.triangles].mean(1)
    order = np.argsort(-depth, kind="stable")
    order = order[facing[order] > 0]
    return paint(np.take(x, order, axis=1), np.take(y, order, axis=1), order.astype(np.int32), side)


def affine_maps(topology: Topology, target: F64, source: F64) -> F32:
    """Return the affine maps from target to source: float32 (2, 3, T), canvas units."""
    (ax, bx, cx), (ay, by, cy) = topology.corners(target)
    ux, uy, vx, vy = bx - ax, by - ay, cx - ax, cy - ay
    area = ux * vy - uy * vx
    area = np.where(np.abs(area) < 1e-3, 1e-3, area)
    maps = np.empty((2, 3, len(area)), np.float32)
    for row, (e, f, g) in zip(maps, topology.corners(source), strict=True):
        first, second = f - e, g - e
        across = (first * vy - second * uy) / area
        down = (second * ux - first * vx) / area
        row[0], row[1], row[2] = across, down, e - across * ax - down * ay
    return maps


def displacement(topology: Topology, target: F64, source: F64, ids: I32, x: F32, y: F32) -> F32:
    """Return how far it is from target points to the source: float32 (..., 2), canvas units.

    ``ids`` (...): the triangle of each point, ``x`` and ``y`` its place, broadcastable to that.
    """
    # One row a triangle, gathered once: its map less the identity, then its corners' limits.
    maps = affine_maps(topology, target, source) - np.eye(2, 3, dtype=np.float32)[..., None]
    moved = topology.corners(source[:, :2] - target[:, :2]).astype(np.float32)
    rows = np.concatenate([maps.reshape(6, -1), moved.min(1), moved.max(1)])
    of = np.take(np.ascontiguousarray(rows.T), ids, axis=0)
    shift = np.empty((*ids.shape, 2), np.float32)
    for axis in range(2):
        across, down, fixed = (of[..., 3 * axis + k] for k in range(3))
        # A pixel's centre may lie beside a thin triangle, where its map runs away: a bright dot.
        far = across * x + down * y + fixed
        np.clip(far, of[..., 6 + axis], of[..., 8 + axis], out=shift[..., axis])
    return shift


def face_flow(topology: Topology, target: F64, source: F64, ids: I32) -> F32:
    """Return the displacement from target pixels to the source inside the face.

    ``target``, ``source``: landmarks (478, 3). ``ids``: int32 (n, n), of ``rasterise`` for the
    target. Returns flow float32 (n, n, 2) in canvas units, 0 outside.
    """
    side = ids.shape[0]
    within = np.flatnonzero(ids >= 0)
    at = (pixel_grid(side).reshape(-1, 2)[within] + np.float32(0.5)) * np.float32(CANVAS / side)
    x, y = at[:, 0], at[:, 1]
    flow = np.zeros((side * side, 2), np.float32)
    flow[within] = displacement(topology, target, source, ids.reshape(-1)[within], x, y)
    return flow.reshape(side, side, 2)
