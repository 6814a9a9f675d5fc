# SPDX-License-Identifier: Apache-2.0
"""The renderer that has learned nothing but linear statistics: warp, patch, paint.

Landmarks of the target and of a reference give a backward flow; the reference is resampled
once at full resolution; mouth and eyes come from whichever reference shows them best. It is
the baseline that a learned generator must beat and the fallback where none can run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.motion.shape import ShapeModel, turned
from talkcodec.render.field import FieldConfig, whole_flow
from talkcodec.render.layer import bent
from talkcodec.render.mend import mended
from talkcodec.render.mesh import Topology, displacement, face_flow
from talkcodec.render.patches import (
    MOUTH,
    REGIONS,
    Region,
    blend,
    darken_mouth,
    mouth_gap,
    region_mask,
    shape_distance,
)
from talkcodec.types import CANVAS, F32, F64, I32, U8, Bool

#: Side of the grid on which flow is computed; flow is smooth, pictures are not.
FLOW_SIDE = 128

#: Mode and values (float32, in layer steps) of a residual flow: ``talkcodec.render.layer``.
Layer = tuple[int, F32]


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """A decoded reference, ready to be warped.

    ``picture``: uint8 (S, S, 3). ``state``: float64 (D,). ``shape``: canonical (478, 3).
    ``landmarks``: (478, 3) in canvas units.
    """

    picture: U8
    state: F64
    shape: F64
    landmarks: F64

    @classmethod
    def make(cls, picture: U8, state: F64, neutral: F64, model: ShapeModel) -> ReferenceView:
        """Derive shape and landmarks from ``state`` against ``neutral`` (478, 3)."""
        shape = model.deform(neutral, state)
        return cls(picture, state, shape, model.place(shape, state))


@dataclass(frozen=True, slots=True)
class Target:
    """A pose and expression to draw, with everything that does not depend on a reference."""

    state: F64
    shape: F64
    landmarks: F64

    @classmethod
    def make(cls, state: F64, neutral: F64, model: ShapeModel) -> Target:
        shape = model.deform(neutral, state)
        return cls(state, shape, model.place(shape, state))


@dataclass(frozen=True, slots=True)
class Flow:
    """Backward flow to one reference, and what patches need to build their own.

    ``field``: float32 (n, n, 2), canvas units. ``inside``: bool (n, n). ``triangle``: int32 (n, n).
    """

    field: F32
    inside: Bool
    triangle: I32


@dataclass
class GeometricRenderer:
    """Draws targets from references. Holds no state between frames."""

    model: ShapeModel
    topology: Topology
    stopwatch: Stopwatch = field(default_factory=NullStopwatch)
    regions: tuple[Region, ...] = REGIONS
    beyond: FieldConfig = field(default_factory=FieldConfig)
    doubt: None = None  # a warp does not know how wrong it is

    def flow(self, target: Target, reference: ReferenceView, layers: Sequence[Layer] = ()) -> Flow:
        """Return the flow from ``target`` to ``reference``, residual layer included."""
        face, inside, ids = face_flow(
            self.topology, target.landmarks, reference.landmarks, FLOW_SIDE
        )
        ends, rigidity = (target.landmarks, reference.landmarks), self.model.rigidity
        whole = whole_flow(face, inside, *ends, rigidity, self.beyond)
        return Flow(bent(whole, layers, target.landmarks), inside, ids)

    def render(
        self,
        target: Target,
        primary: ReferenceView,
        bank: Sequence[ReferenceView] = (),
        layers: Sequence[Layer] = (),
    ) -> U8:
        """Return the picture (S, S, 3) of ``target`` from ``primary``, patched from ``bank``."""
        with self.stopwatch.stage("flow"):
            flow = self.flow(target, primary, layers)
        with self.stopwatch.stage("compose"):
            picture = resample(primary.picture, flow.field)
            return self.patched(picture, target, primary, bank, flow)

    def patched(
        self,
        picture: U8,
        target: Target,
        primary: ReferenceView,
        bank: Sequence[ReferenceView],
        flow: Flow,
    ) -> U8:
        """Return ``picture``, warped from ``primary``: mended, mouth and eyes from the nearest."""
        picture, mouth = mended(picture, flow.field, flow.inside), primary
        for region in self.regions:
            best = choose(region, target, primary, bank)
            if best is not primary:
                picture = self._patch(picture, region, target, best, flow)
                mouth = best if region is MOUTH else mouth
        shown, wanted = mouth_gap(mouth.shape), mouth_gap(target.shape)
        return darken_mouth(picture, target.landmarks, shown, wanted)

    def _patch(
        self, picture: U8, region: Region, target: Target, source: ReferenceView, flow: Flow
    ) -> U8:
        """Draw ``region`` from ``source``; the triangles under the pixels are the same."""
        side = picture.shape[0]
        mask = region_mask(region, target.landmarks, side)
        rows, columns = np.nonzero(mask.max(1) > 0)[0], np.nonzero(mask.max(0) > 0)[0]
        if len(rows) < 4 or len(columns) < 4:
            return picture
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        cell = FLOW_SIDE / side
        top, bottom = int(rows[0] * cell), int(np.ceil((rows[-1] + 1) * cell))
        left, right = int(columns[0] * cell), int(np.ceil((columns[-1] + 1) * cell))
        ids = flow.triangle[top:bottom, left:right]
        unit = np.float32(CANVAS / FLOW_SIDE)
        x = (np.arange(left, right, dtype=np.float32) + 0.5)[None, :] * unit
        y = (np.arange(top, bottom, dtype=np.float32) + 0.5)[:, None] * unit
        ends = target.landmarks, source.landmarks
        local = displacement(self.topology, *ends, np.maximum(ids, 0), x, y)
        whole = np.zeros((FLOW_SIDE, FLOW_SIDE, 2), np.float32)
        whole[top:bottom, left:right] = np.where((ids >= 0)[..., None], local, 0)
        known = np.zeros((FLOW_SIDE, FLOW_SIDE), np.float32)
        known[top:bottom, left:right] = ids >= 0
        patch = resample(source.picture, whole, box)
        inside = cv2.resize(known, (side, side), interpolation=cv2.INTER_LINEAR)[box]
        out = picture.copy()
        out[box] = blend(picture[box], patch, mask[box] * (inside > 0.99))
        return out


def choose(
    region: Region, target: Target, primary: ReferenceView, bank: Sequence[ReferenceView]
) -> ReferenceView:
    """Return the reference whose ``region`` is nearest to the target's, biased to ``primary``."""
    best, score = primary, _unlike(region, target, primary) - region.gain
    for candidate in bank:
        if candidate is primary:
            continue
        distance = _unlike(region, target, candidate)
        if distance < score:
            best, score = candidate, distance
    return best


def _unlike(region: Region, target: Target, view: ReferenceView) -> float:
    """Return how much warping ``region`` of ``view`` to ``target`` would leave wrong."""
    apart = shape_distance(region, target.shape, view.shape)
    return apart + region.turn * turned(target.state, view.state)


def resample(picture: U8, flow: F32, box: tuple[slice, slice] | None = None) -> U8:
    """Return ``picture`` (S, S, 3) sampled along ``flow`` (n, n, 2), only in ``box``."""
    side = picture.shape[0]
    full = cv2.resize(flow, (side, side), interpolation=cv2.INTER_LINEAR) * np.float32(
        side / CANVAS
    )
    grid = np.arange(side, dtype=np.float32)
    x, y = full[..., 0] + grid[None, :], full[..., 1] + grid[:, None]
    if box is not None:
        x, y = np.ascontiguousarray(x[box]), np.ascontiguousarray(y[box])
    return np.asarray(
        cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
