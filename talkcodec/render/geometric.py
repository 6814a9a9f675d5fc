# SPDX-License-Identifier: Apache-2.0
"""The renderer that has learned nothing but linear statistics: warp, patch, paint.

Landmarks of the target and of a reference give a backward flow; the reference is resampled
once at full resolution; mouth and eyes come from whichever reference shows them best. It is
the baseline that a learned generator must beat and the fallback where none can run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import cv2
import numpy as np

from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.motion.shape import ShapeModel, look, turned
from talkcodec.render.field import FieldConfig
from talkcodec.render.ground import Ground
from talkcodec.render.layer import bent, stays
from talkcodec.render.matte import behind, over
from talkcodec.render.mend import LOST, harm, lent, smoothed, taken
from talkcodec.render.mesh import Topology
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
from talkcodec.render.resample import enlarged, resample
from talkcodec.types import F32, F64, U8

#: Mode and values (float32, in layer steps) of a residual flow: ``talkcodec.render.layer``.
Layer = tuple[int, F32]


@dataclass(frozen=True)
class ReferenceView:
    """A decoded reference, ready to be warped.

    ``picture``: uint8 (S, S, 3). ``state``: float64 (D,). ``shape``: canonical (478, 3).
    ``landmarks``: (478, 3) in canvas units. ``matte``: float32 (128, 128), 0 to 1, where the person
    is; None: not known, and everything near a head moves with it.
    """

    picture: U8
    state: F64
    shape: F64
    landmarks: F64
    matte: F32 | None = None

    @classmethod
    def make(cls, picture: U8, state: F64, neutral: F64, model: ShapeModel) -> ReferenceView:
        """Derive shape and landmarks from ``state`` against ``neutral`` (478, 3)."""
        shape = model.deform(neutral, state)
        return cls(picture, state, shape, model.place(shape, state))

    @cached_property
    def fine(self) -> U8:
        """The picture ``enlarged``, to sample from; kept for as long as the view is."""
        return enlarged(self.picture)

    @cached_property
    def look(self) -> F64:
        """The way that the face looks, (3,)."""
        return look(self.state)


@dataclass(frozen=True)
class Target:
    """A pose and expression to draw, with everything that does not depend on a reference."""

    state: F64
    shape: F64
    landmarks: F64

    @classmethod
    def make(cls, state: F64, neutral: F64, model: ShapeModel) -> Target:
        shape = model.deform(neutral, state)
        return cls(state, shape, model.place(shape, state))

    @cached_property
    def look(self) -> F64:
        """The way that the face should look, (3,)."""
        return look(self.state)


@dataclass(frozen=True, slots=True)
class Flow:
    """Backward flow to one reference. ``field``: float32 (n, n, 2), canvas units.

    ``behind``: float32 (n, n), 0 to 1, where the picture stays as it is: what is behind the person;
    None if that moves, or is not known.
    """

    field: F32
    ground: Ground
    behind: F32 | None = None


@dataclass
class GeometricRenderer:
    """Draws targets from references.

    It remembers the flow that it was asked for last: a sender asks for those from one target to
    several references, and once more for that of the picture that it has just drawn.
    """

    model: ShapeModel
    topology: Topology
    stopwatch: Stopwatch = field(default_factory=NullStopwatch)
    regions: tuple[Region, ...] = REGIONS
    beyond: FieldConfig = field(default_factory=FieldConfig)
    doubt: None = None  # a warp does not know how wrong it is
    _last: tuple[Target, F64, Sequence[Layer], Flow] | None = None

    def flow(self, target: Target, reference: ReferenceView, layers: Sequence[Layer] = ()) -> Flow:
        """Return the flow from ``target`` to ``reference``, residual layer included."""
        ground: Ground | None = None
        if self._last is not None and self._last[0] is target:
            _, landmarks, bends, flow = self._last
            if landmarks is reference.landmarks and bends is layers:
                return flow
            ground = flow.ground
        ground = ground or Ground.of(target.landmarks, self.topology)
        whole = self._unbent(ground, reference)
        field = bent(whole, layers, ground.outside)
        there = None
        if reference.matte is not None and stays(layers):
            there = behind(reference.matte, field)
        flow = Flow(field, ground, there)
        self._last = target, reference.landmarks, layers, flow
        return flow

    def _unbent(self, ground: Ground, reference: ReferenceView) -> F32:
        """Return the flow (128, 128, 2) to ``reference``, without a layer."""
        return ground.flow(reference.landmarks, self.model.rigidity, self.beyond)

    def matte(self, reference: ReferenceView) -> F32 | None:
        """Return what the view knows already: nothing learned tells persons apart here."""
        return reference.matte

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
            picture = warp(primary, flow.field, flow.behind)
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
        picture, mouth = self._mended(picture, target, primary, bank, flow), primary
        for region in self.regions:
            best = choose(region, target, primary, bank)
            if best is not primary:
                picture = self._patch(picture, region, target, best, flow)
                mouth = best if region is MOUTH else mouth
        shown, wanted = mouth_gap(mouth.shape), mouth_gap(target.shape)
        return darken_mouth(picture, target.landmarks, shown, wanted)

    def _mended(
        self,
        picture: U8,
        target: Target,
        primary: ReferenceView,
        bank: Sequence[ReferenceView],
        flow: Flow,
    ) -> U8:
        """Replace what the warp tears: by what the nearest other reference shows, if it does."""
        ground = flow.ground
        harmed = harm(flow.field, ground.cover.inside, flow.behind)
        if harmed is None:
            return picture
        other = self._lender(target, primary, bank)
        field = None if other is None else self._unbent(ground, other)
        loan = None if field is None else lent(harmed, ground.cover.inside, field)
        if other is None or field is None or loan is None:
            return smoothed(picture, harmed == LOST)
        lend = partial(resample, other.fine, field)
        return smoothed(taken(picture, loan, lend), loan.left)

    def _lender(
        self, target: Target, primary: ReferenceView, bank: Sequence[ReferenceView]
    ) -> ReferenceView | None:
        """Return the reference that may show what the warp from ``primary`` tears, if any."""
        return nearest(target, [view for view in bank if view is not primary])

    def _patch(
        self, picture: U8, region: Region, target: Target, source: ReferenceView, flow: Flow
    ) -> U8:
        """Draw ``region`` from ``source``; the triangles under the pixels are the same."""
        side = picture.shape[0]
        mask, box = region_mask(region, target.landmarks, side)
        if min(mask.shape) < 4:
            return picture
        face = flow.ground.cover.flow(target.landmarks, source.landmarks)
        known = flow.ground.cover.inside.astype(np.float32)
        patch = resample(source.fine, face, box)
        inside = cv2.resize(known, (side, side), interpolation=cv2.INTER_LINEAR)[box]
        out = picture.copy()
        out[box] = blend(picture[box], patch, mask * (inside > 0.99))
        return out


def warp(reference: ReferenceView, field: F32, behind: F32 | None) -> U8:
    """Return ``reference`` drawn along ``field`` (n, n, 2), canvas units: uint8 (S, S, 3).

    ``behind``: see ``Flow``.
    """
    picture = resample(reference.fine, field)
    return picture if behind is None else over(picture, reference.picture, behind)


def choose(
    region: Region, target: Target, primary: ReferenceView, bank: Sequence[ReferenceView]
) -> ReferenceView:
    """Return the reference whose ``region`` is nearest to the target's, biased to ``primary``."""
    others = [view for view in bank if view is not primary]
    if not others:
        return primary
    best, score = primary, _unlike(region, target, primary) - region.gain
    for candidate in others:
        distance = _unlike(region, target, candidate)
        if distance < score:
            best, score = candidate, distance
    return best


def nearest(target: Target, views: Sequence[ReferenceView]) -> ReferenceView | None:
    """Return the one of ``views`` whose landmarks are nearest to the target's, if there is any."""
    places = target.landmarks[:, :2]
    return min(
        views, key=lambda view: float(np.abs(view.landmarks[:, :2] - places).mean()), default=None
    )


def _unlike(region: Region, target: Target, view: ReferenceView) -> float:
    """Return how much warping ``region`` of ``view`` to ``target`` would leave wrong."""
    apart = shape_distance(region, target.shape, view.shape)
    return apart + region.turn * turned(target.look, view.look) if region.turn else apart
