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
from talkcodec.types import CANVAS, F32, F64, I32, Bool

#: Twice the smallest area of a triangle, square canvas units: of a smaller one nothing is inverted.
_LEAST_AREA = 1e-3


@dataclass(frozen=True)
class Topology:
    """Triangles over the 478 landmarks: int32 (T, 3), wound alike in a frontal face.

    The last ``mouth`` of them span the inner lips, where a reference may have nothing to show.
    """

    triangles: I32
    mouth: int

    @cached_property
    def ends(self) -> npt.NDArray[np.intp]:
        """The triangles as (3, T)."""
        return np.ascontiguousarray(self.triangles.T, np.intp)

    def corners(self, points: F64) -> F64:
        """Return where the corners of all triangles are, of ``points`` (478, 2 or 3): (2, 3, T)."""
        # By coordinates, each an array of all triangles: many times as quick as small matrices.
        return np.asarray(np.take(points[:, :2].T, self.ends, axis=1), np.float64)

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


@dataclass(frozen=True, slots=True)
class Cover:
    """Which pixels of a grid a face covers, and which landmarks each of them lies between.

    ``inside``: bool (n, n). ``within``: the indices of those pixels in the flattened grid, (N,).
    ``corners``: (3, N), landmarks; ``shares``: float32 (3, N), how much a pixel is of each, 0 to 1.
    """

    inside: Bool
    within: npt.NDArray[np.intp]
    corners: npt.NDArray[np.intp]
    shares: F32

    @classmethod
    def of(cls, topology: Topology, landmarks: F64, side: int) -> Cover:
        """Return the cover of a ``side``² grid by a face: ``landmarks`` (478, 3), canvas units."""
        ids = rasterise(topology, landmarks, side).reshape(-1)
        within = np.flatnonzero(ids >= 0)
        at = (pixel_grid(side).reshape(-1, 2)[within] + 0.5) * (CANVAS / side)
        triangles = np.take(ids, within)
        shares = _shares(topology.corners(landmarks), triangles, *at.astype(np.float32).T)
        corners = np.take(topology.ends, triangles, axis=1)
        return cls((ids >= 0).reshape(side, side), within, corners, shares)

    def flow(self, target: F64, source: F64) -> F32:
        """Return the displacement from target pixels to the source: float32 (n, n, 2).

        ``target``: of this cover; ``source``: landmarks (478, 3). Canvas units; 0 outside the face.
        """
        # A complex number is a place's two coordinates, gathered and weighted at once.
        moved = np.ascontiguousarray(source[:, :2] - target[:, :2]).view(np.complex128)
        first, second, third = np.take(moved.astype(np.complex64)[:, 0], self.corners)
        a, b, c = self.shares
        flow = np.zeros(self.inside.size, np.complex64)
        flow[self.within] = a * first + b * second + c * third
        return flow.view(np.float32).reshape(*self.inside.shape, 2)


def _shares(corners: F64, triangles: I32, x: F32, y: F32) -> F32:
    """Return the barycentric coordinates of points (N,) in their triangles: float32 (3, N).

    ``corners``: of all triangles, (2, 3, T). A point beside a thin triangle, whose coordinates run
    away, is taken into it: else it would be a bright dot.
    """
    (ax, bx, cx), (ay, by, cy) = corners
    ux, uy, vx, vy = bx - ax, by - ay, cx - ax, cy - ay
    area = ux * vy - uy * vx
    area = np.where(np.abs(area) < _LEAST_AREA, _LEAST_AREA, area)
    # One row a triangle, gathered once: two affine maps, to the shares of the second and the third.
    second, third = (vy / area, -vx / area), (-uy / area, ux / area)
    rows = [*second, *third, *(-(across * ax + down * ay) for across, down in (second, third))]
    of = np.take(np.array(rows, np.float32), triangles, axis=1)
    shares = np.empty((3, len(x)), np.float32)
    shares[1] = of[0] * x + of[1] * y + of[4]
    shares[2] = of[2] * x + of[3] * y + of[5]
    shares[0] = 1 - shares[1] - shares[2]
    np.maximum(shares, 0, out=shares)
    shares /= shares.sum(0)
    return shares
