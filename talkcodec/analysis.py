# SPDX-License-Identifier: Apache-2.0
"""Analysis by synthesis: which reference, which motion beyond the face, and how good it looks.

Run by the encoder once a group, on the group's last frame.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np

from talkcodec.bitstream import FlowLayer
from talkcodec.entropy import TableSet
from talkcodec.reference.bank import BankedReference
from talkcodec.render.field import layered
from talkcodec.render.geometric import Flow, Layer, ReferenceView, Target
from talkcodec.render.ground import FLOW_SIDE
from talkcodec.render.layer import (
    AFFINE,
    PERSON,
    fit_layer,
    layer_flow,
    outside_weight,
    stays,
    value_count,
)
from talkcodec.render.matte import behind, over
from talkcodec.render.measure import (
    FlowMeter,
    error_map,
    small_luma,
    torn,
    warp_luma,
)
from talkcodec.scene import LAYER_LIFE, Drawing, LayerMemory, Scene
from talkcodec.types import F32, F64, I32, U8, Bool, Box

#: References tried for a group, the nearest ones by shape.
CANDIDATES = 2

#: In a call, seconds until a layer is sent again: the packet that brought it may be lost.
CALL_RESEND = 0.32

#: Weight of the face against the whole picture in the visible error.
FACE_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A frame on its way through the encoder.

    ``picture``: canvas, uint8 (S, S, 3). ``luma``: the same, small. ``state``: float64 (D,) in
    finest steps, smoothed. ``landmarks``: (478, 3) as tracked, canvas units. ``window``: where
    the canvas lay in the source picture: left, top, right, bottom. ``sure``: the tracker's
    confidence, 0 to 1. ``others``: further faces, canvas units.
    """

    tick: int
    picture: U8
    luma: U8
    state: F64
    landmarks: F64
    window: tuple[int, int, int, int]
    sure: float = 1.0
    others: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """How a group is to be drawn. ``error``: of the frame looked at as the receiver will show it.

    ``tried``: every reference that was looked at, the chosen one first, with the flow to it,
    (n, n, 2) in canvas units. ``layer``: what bends the chosen one's flow beyond the face.
    ``turn``: radians between the head and the chosen reference's.
    """

    reference: BankedReference
    flow: FlowLayer | None
    error: float
    tried: tuple[tuple[BankedReference, F32], ...] = ()
    layer: Layer | None = None
    turn: float = 0.0


@dataclass(frozen=True, slots=True)
class Foresight:
    """What the receiver will show of a frame. ``error``: of the picture, the face counting more.
    ``torn``: the part of the error that lies where the warp pulls the picture apart.
    """

    error: float
    torn: float


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """How motion beyond the face is sent.

    ``modes``: layers to try, besides none; ``PERSON`` where the renderer can tell persons apart.
    ``price``: error (1 - SSIM) a byte must save.
    ``tears``: by how many times error counts more where the picture is pulled apart, when
    references and layers are chosen: it looks worse there than the same error elsewhere.
    ``resend``: ticks after which a layer in force is sent again, in case a packet was lost.
    """

    modes: tuple[int, ...] = (2, 3)
    price: float = 0.002
    tears: float = 1.0
    resend: int = LAYER_LIFE

    def in_call(self, tick_rate: Fraction) -> LayerConfig:
        """Return these settings for a path of ``tick_rate`` ticks per second that loses packets."""
        return replace(self, resend=min(self.resend, max(round(CALL_RESEND * tick_rate), 1)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one way to draw a frame. ``error``: the face counting more. ``cost``: and tears too."""

    error: float
    cost: float


class Analyst:
    """Compares what the receiver would show with what the sender sees."""

    def __init__(
        self, scene: Scene, memory: LayerMemory, tables: TableSet, layers: LayerConfig
    ) -> None:
        self._scene = scene
        self._memory = memory
        self._tables = tables
        self._layers = layers
        self._meter = FlowMeter()
        self._small: dict[int, U8] = {}

    def choose(self, sample: Sample, start: int, absent: Collection[int] = ()) -> Choice:
        """Return the best banked reference and layer for ``sample``; the bank is not empty.

        ``start``: tick of the group's first frame. ``absent``: sequence numbers that the receiver
        may not hold yet, used only if all are.
        """
        target = self._scene.target(sample.state * self._scene.model.steps)
        held = [r for r in self._scene.bank if r.sequence not in absent]
        usable = held or list(self._scene.bank)
        ranked = sorted(usable, key=lambda r: self._distance(r, target, sample.tick))
        best: tuple[Verdict, BankedReference, Flow] | None = None
        tried: list[tuple[BankedReference, F32]] = []
        for reference in ranked[:CANDIDATES]:
            view = self._scene.view(reference.sequence)
            flow = self._scene.renderer.flow(target, view)
            tried.append((reference, flow.field))
            verdict = self._verdict(sample, reference, flow.field, flow.ground.cover.inside)
            if best is None or verdict.cost < best[0].cost:
                best = verdict, reference, flow
        if best is None:
            raise ValueError("expected a reference in the bank, found none")
        verdict, reference, flow = best
        layer, error = self._layer(sample, start, target, reference, flow, verdict)
        drawn = None if layer is None else (layer.mode, layer.values.astype(np.float32))
        if drawn is None:
            drawn = self._memory.in_force(reference.sequence, start)
        tried.sort(key=lambda pair: pair[0] is not reference)
        there = self._scene.view(reference.sequence).state
        turn = float(np.linalg.norm((sample.state * self._scene.model.steps - there)[:3]))
        return Choice(reference, layer, error, tuple(tried), drawn, turn)

    def foresee(self, sample: Sample, drawing: Drawing) -> Foresight:
        """Look at the full synthesis, mouth, eyes and all; every banked reference has arrived."""
        errors = error_map(small_luma(self._scene.draw(drawing)), sample.luma)
        target, view = self._scene.target(drawing.state), self._scene.view(drawing.reference)
        flow = self._scene.renderer.flow(target, view, drawing.layers)
        pulled = torn(flow.field, flow.behind)
        return Foresight(_weighed(errors, sample), float((errors * pulled).mean()))

    def picture_error(self, picture: U8, sample: Sample) -> float:
        """Return the error of any ``picture`` (S, S, 3) against the frame."""
        return _weighed(error_map(small_luma(picture), sample.luma), sample)

    def _verdict(
        self,
        sample: Sample,
        reference: BankedReference,
        field: F32,
        inside: Bool,
        *,
        still: bool = True,
    ) -> Verdict:
        """Judge ``reference`` warped along ``field`` (n, n, 2); ``inside``: the face, (n, n).

        ``still``: what is behind the person stays.
        """
        view = self._scene.view(reference.sequence)
        luma, matte = self._luma(reference), self._scene.renderer.matte(view)
        picture, there = warp_luma(luma, field), None
        if matte is not None and still:
            there = behind(matte, field)
            picture = over(picture, luma, there)
        errors = error_map(picture, sample.luma)
        face = errors[inside]
        error = float(errors.mean()) + FACE_WEIGHT * (float(face.mean()) if face.size else 0.0)
        pulled = float((errors * torn(field, there)).mean())
        return Verdict(error, error + self._layers.tears * pulled)

    def _layer(
        self,
        sample: Sample,
        start: int,
        target: Target,
        reference: BankedReference,
        flow: Flow,
        without: Verdict,
    ) -> tuple[FlowLayer | None, float]:
        """Return the layer that pays for itself, if any, and the error with it.

        Sending none keeps the layer in force; a new one must beat that by the price of its bytes.
        """
        if not self._layers.modes:
            return None, without.error
        weight = layered(flow.ground.outside)

        def with_layer(mode: int, values: I32 | F32) -> Verdict:
            bend = np.asarray(layer_flow(mode, values, FLOW_SIDE), np.float32)
            still, inside = stays([(mode, values)]), flow.ground.cover.inside
            return self._verdict(sample, reference, flow.field + bend * weight, inside, still=still)

        held = self._memory.in_force(reference.sequence, start)
        best: FlowLayer | None = None
        now = without if held is None else with_layer(*held)
        best_error, best_cost = now.error, now.cost
        if held is not None and self._memory.age(start) > self._layers.resend:
            best_cost = float("inf")  # some layer must be sent, if only one of zeros
        luma = self._luma(reference)
        for candidate in self._candidates(sample, target, luma, flow, stop=held is not None):
            found = with_layer(candidate.mode, candidate.values)
            price = self._layers.price * self._bytes(candidate.mode, candidate.values)
            if found.cost + price < best_cost:
                best, best_error, best_cost = candidate, found.error, found.cost + price
        return best, best_error

    def _candidates(
        self, sample: Sample, target: Target, luma: U8, flow: Flow, *, stop: bool
    ) -> list[FlowLayer]:
        """Return layers fitted to the motion that ``flow`` leaves over; ``stop`` adds no motion."""
        residual, confidence = self._meter.residual(luma, sample.luma, flow.field)
        weight = confidence * outside_weight(target.landmarks, confidence.shape[0])
        weights = dict.fromkeys(self._layers.modes, weight)
        if flow.behind is None:
            weights.pop(PERSON, None)  # nobody can say that what is behind the person stays
        elif PERSON in weights:
            small = cv2.resize(flow.behind, weight.shape, interpolation=cv2.INTER_AREA)
            weights[PERSON] = weight * (1 - small)
        fitted = [FlowLayer(m, fit_layer(residual, w, m)) for m, w in weights.items()]
        moving = [layer for layer in fitted if layer.values.any()]
        stops = [AFFINE, *({PERSON} & weights.keys())] if stop else []
        return [FlowLayer(mode, np.zeros(value_count(mode), np.int32)) for mode in stops] + moving

    def _bytes(self, mode: int, values: I32) -> float:
        tables = self._tables.flow_tables[mode]
        return sum(t.bits(v) for t, v in zip(tables, values.tolist(), strict=True)) / 8

    def _luma(self, reference: BankedReference) -> U8:
        """Return the small luma of a banked picture, made once."""
        key = id(reference.picture)
        if key not in self._small:
            held = {id(r.picture) for r in self._scene.bank}
            self._small = {k: v for k, v in self._small.items() if k in held}
            self._small[key] = small_luma(reference.picture)
        return self._small[key]

    def _distance(self, reference: BankedReference, target: Target, tick: int) -> float:
        """Return how far the face must be warped from ``reference``, a little more if it is old."""
        view: ReferenceView = self._scene.view(reference.sequence)
        warp = view.landmarks[:, :2] - target.landmarks[:, :2]
        turn = np.abs(view.shape[:, :2] - target.shape[:, :2]).mean()
        age = min((tick - reference.tick) / 1000, 1.0)
        return float(np.abs(warp).mean() + 40 * turn + age)


def _weighed(errors: F32, sample: Sample) -> float:
    box = face_box(sample.landmarks, errors.shape[0])
    return float(errors.mean() + FACE_WEIGHT * errors[box].mean())


def face_box(landmarks: F64 | F32, side: int) -> tuple[slice, slice]:
    """Return the face's bounding box on a ``side``² grid, never empty."""
    scaled = landmarks[:, :2] * (side / 256)
    low = np.clip(np.floor(scaled.min(0)), 0, side - 1).astype(int)
    high = np.clip(np.ceil(scaled.max(0)), low + 1, side).astype(int)
    return np.s_[low[1] : high[1], low[0] : high[0]]
