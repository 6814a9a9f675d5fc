# SPDX-License-Identifier: Apache-2.0
"""Samples for the generator: a reference, and a frame of the same clip to be drawn from it.

Everything the network is given is made as a call makes it: the reference is coded and restored,
landmarks come from the shipped tracker, states are quantised, motion beyond the face is measured
and fitted, and the picture is staged by the renderer's own code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.errors import InputError
from talkcodec.face.place import Place
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.motion.landmarks import EYELIDS, LIPS
from talkcodec.render.closeup import Part
from talkcodec.render.geometric import GeometricRenderer, Layer, ReferenceView, Target
from talkcodec.render.layer import fit_layer, outside_weight
from talkcodec.render.measure import FlowMeter, small_luma
from talkcodec.render.staging import Staged, stage
from talkcodec.types import CANVAS, F32, F64, I32, U8, Bool
from training.coded import CodedStore

#: Cosine layer that the encoder sends, and how often a frame has one.
_MODE, _LAYERED = 3, 0.85


@dataclass(frozen=True, slots=True)
class Driven:
    """``truth``: uint8 (256, 256, 3). ``staged``: of the same frame. ``mouth``, ``eyes``: where
    they are in it, (x, y) in pixels. ``face``: float32 (2, 3), from the place where the tracker's
    network would look to the picture, both as ``affine_grid`` measures them.
    """

    staged: Staged
    truth: U8
    mouth: tuple[float, float]
    eyes: tuple[float, float]
    face: F32


@dataclass(frozen=True, slots=True)
class Group:
    """Frames drawn from one ``reference``, uint8 (256, 256, 3), restored.

    ``window``: whether the frames follow one another.
    """

    reference: U8
    frames: tuple[Driven, ...]
    window: bool = False


class Stager:
    """Makes groups from a store. Not thread-safe. ``parts``: that are looked at closely.

    Raises ``InputError`` if its references have not been restored.
    """

    def __init__(self, store: CodedStore, parts: Sequence[Part] = ()) -> None:
        if store.restored is None:
            raise InputError("expected restored references: python -m training.coded … --restore")
        self._coded, self._restored = store, store.restored
        self._model = weights.shape_model()
        self._renderer = GeometricRenderer(self._model, weights.topology())
        self._meter = FlowMeter()
        self._parts = parts

    def group(self, rows: I32, frames: I32, layered: Bool) -> Group:
        """Draw ``frames`` of the store from the reference ``rows[0]``, patched from the others.

        ``layered``: by frame, whether motion beyond the face is sent with it.
        """
        first = int(self._coded.frame[rows[0]])
        neutral = neutral_shape(self._model, fit_identity(self._model, self._marks(first)))
        views = [self._view(int(row), neutral) for row in rows]
        made = tuple(
            self._driven(int(frame), views, neutral, layered=bool(sent))
            for frame, sent in zip(frames, layered, strict=True)
        )
        return Group(views[0].picture, made)

    def _driven(
        self, frame: int, views: list[ReferenceView], neutral: F64, *, layered: bool
    ) -> Driven:
        truth, primary = self._frame(frame), views[0]
        target = Target.make(self._state(frame, neutral), neutral, self._model)
        layers = [self._layer(truth, target, primary)] if layered else []
        staged = stage(self._renderer, target, primary, views, layers, parts=self._parts)
        points = target.landmarks[:, :2]
        mouth, eyes = points[list(LIPS)].mean(0), points[list(EYELIDS)].mean(0)
        face = looked_at(Place.around(self._marks(frame)))
        return Driven(staged, truth, (mouth[0], mouth[1]), (eyes[0], eyes[1]), face)

    def _layer(self, truth: U8, target: Target, primary: ReferenceView) -> Layer:
        flow = self._renderer.flow(target, primary).field
        residual, confidence = self._meter.residual(
            small_luma(primary.picture), small_luma(truth), flow
        )
        weight = confidence * outside_weight(target.landmarks, confidence.shape[0])
        return _MODE, fit_layer(residual, weight, _MODE).astype(np.float32)

    def _view(self, row: int, neutral: F64) -> ReferenceView:
        picture = np.ascontiguousarray(self._restored[row])
        state = self._state(int(self._coded.frame[row]), neutral)
        return ReferenceView.make(picture, state, neutral, self._model)

    def _state(self, frame: int, neutral: F64) -> F64:
        steps = self._model.steps
        return np.asarray(
            np.rint(fit_state(self._model, neutral, self._marks(frame)) / steps) * steps
        )

    def _marks(self, frame: int) -> F64:
        return np.asarray(self._coded.tracked[frame], np.float64)

    def _frame(self, index: int) -> U8:
        return np.ascontiguousarray(self._coded.store.frames[index])


@dataclass(frozen=True, slots=True)
class Draw:
    """How groups are drawn. ``frames``: of a group. ``bank``: references at most. ``windows``:
    share of groups whose frames follow one another. ``far``: share whose frames are chosen for
    having moved far from the reference, where warps tear.
    """

    frames: int = 2
    bank: int = 4
    windows: float = 0.0
    far: float = 0.0


def draw_group(
    stager: Stager, store: CodedStore, clip: int, how: Draw, random: np.random.Generator
) -> Group:
    """Return a random group of ``clip``, augmented."""
    own = store.of_clip[clip]
    rows = random.permutation(own)[: int(random.integers(1, how.bank + 1))]
    window = bool(random.random() < how.windows)
    chosen = _chosen(store, clip, int(rows[0]), how, window=window, random=random)
    layered = random.random(how.frames) < _LAYERED
    group = replace(stager.group(rows, chosen, layered), window=window)
    if random.random() < 0.5:
        group = mirrored(group)
    return toned(group, random) if random.random() < 0.3 else group


def _chosen(
    store: CodedStore,
    clip: int,
    primary: int,
    how: Draw,
    *,
    window: bool,
    random: np.random.Generator,
) -> I32:
    """Return the frames of ``clip`` to draw from the reference ``primary``."""
    count = how.frames
    frames = np.flatnonzero(store.store.clip == clip).astype(np.int32)
    if window:
        start = int(random.integers(max(len(frames) - count, 0) + 1))
        return np.resize(frames[start : start + count], count)
    candidates = random.choice(frames, min(3 * count, len(frames)), replace=False)
    drawn = random.random()
    if drawn < 0.5 * (1 - how.far) or drawn >= 1 - how.far:
        # The nearest, as the encoder chooses among several references, or the farthest.
        marks = store.tracked[store.frame[primary], :, :2]
        far = np.array([np.abs(store.tracked[f, :, :2] - marks).mean() for f in candidates])
        candidates = candidates[np.argsort(-far if drawn >= 1 - how.far else far)]
    return np.resize(candidates[:count], count)


def looked_at(place: Place) -> F32:
    """Return the map (2, 3) from ``place`` to the canvas, both from -1 to 1."""
    cosine, sine = np.cos(place.roll), np.sin(place.roll)
    turn = np.array([[cosine, -sine], [sine, cosine]]) * (place.side / CANVAS)
    offset = np.array([[place.x], [place.y]]) * (2 / CANVAS) - 1
    return np.hstack([turn, offset]).astype(np.float32)


def mirrored(group: Group) -> Group:
    """Return ``group`` as in a mirror."""
    frames = tuple(
        Driven(
            _mirrored(f.staged),
            _flip(f.truth),
            (CANVAS - f.mouth[0], f.mouth[1]),
            (CANVAS - f.eyes[0], f.eyes[1]),
            f.face * np.array([[1, -1, -1], [-1, 1, 1]], np.float32),
        )
        for f in group.frames
    )
    return Group(_flip(group.reference), frames, group.window)


def _mirrored(s: Staged) -> Staged:
    field, flow = s.field[:, ::-1].copy(), s.flow[..., ::-1].copy()
    field[..., 0] *= -1
    flow[0] *= -1
    return Staged(
        _flip(s.warped),
        np.ascontiguousarray(s.patched[:, ::-1]),
        field,
        np.ascontiguousarray(s.outside[:, ::-1]),
        None if s.behind is None else np.ascontiguousarray(s.behind[:, ::-1]),
        _flip(s.small),
        np.ascontiguousarray(s.drive[..., ::-1]),
        flow,
        tuple(
            replace(
                seen,
                planes=np.ascontiguousarray(seen.planes[..., ::-1]),
                box=mirrored_box(seen.box, seen.part.width),
            )
            for seen in s.parts
        ),
    )


def mirrored_box(box: F64, width: int) -> F64:
    """Return where a crop ``box`` (2, 3) of a picture is in its mirror image, mirrored itself."""
    far = box[:, :2] @ (width, 0) + box[:, 2]  # what was the crop's right edge is its left
    return np.array(
        [[box[0, 0], -box[0, 1], CANVAS - far[0]], [-box[1, 0], box[1, 1], far[1]]], np.float64
    )


def _flip(picture: U8) -> U8:
    return np.ascontiguousarray(picture[:, ::-1])


def tone_curve(random: np.random.Generator) -> U8:
    """Return a change of light, uint8 (1, 256, 3): one curve a colour."""
    gamma = float(np.exp(random.normal(0, 0.2)))
    gains = np.exp(random.normal(0, 0.06, 3))
    curve = 255 * (np.arange(256) / 255) ** gamma
    return np.clip(np.rint(curve[:, None] * gains), 0, 255).astype(np.uint8)[None]


def toned_by(picture: U8, curve: U8) -> U8:
    """Return ``picture`` in the light of ``curve``."""
    return np.asarray(cv2.LUT(picture, curve), np.uint8)


def toned(group: Group, random: np.random.Generator) -> Group:
    """Return ``group`` in other light: one curve for all of its pictures."""
    curve = tone_curve(random)

    def tone(picture: U8) -> U8:
        return toned_by(picture, curve)

    frames = tuple(
        replace(
            f,
            truth=tone(f.truth),
            staged=replace(
                f.staged,
                warped=tone(f.staged.warped),
                small=tone(f.staged.small),
                parts=tuple(
                    replace(seen, planes=toned_planes(seen.planes, curve))
                    for seen in f.staged.parts
                ),
            ),
        )
        for f in group.frames
    )
    return Group(tone(group.reference), frames, group.window)


def toned_planes(part: U8, curve: U8) -> U8:
    """Return a part's planes (9, H, W) in the light of ``curve``: both pictures, not the masks."""
    out = part.copy()
    for first in (0, 5):
        picture = np.ascontiguousarray(out[first : first + 3].transpose(1, 2, 0))
        out[first : first + 3] = toned_by(picture, curve).transpose(2, 0, 1)
    return out


def planes(pictures: list[U8]) -> U8:
    """Return uint8 (B, 3, H, W) of pictures (H, W, 3)."""
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))


def collate(groups: list[Group]) -> dict[str, U8 | F32 | I32 | Bool]:
    """Return arrays by name: of the groups ``reference`` and ``window``, of their frames all else.

    ``of``: by frame the row of its group; ``places``: float32 (B, 2, 2), mouth and eyes.
    """
    frames = [frame for group in groups for frame in group.frames]
    staged = [frame.staged for frame in frames]
    return {
        "reference": planes([group.reference for group in groups]),
        "of": np.repeat(np.arange(len(groups)), [len(g.frames) for g in groups]).astype(np.int32),
        "window": np.array([group.window for group in groups]),
        "truth": planes([frame.truth for frame in frames]),
        "face": np.stack([frame.face for frame in frames]),
        "places": np.array([(frame.mouth, frame.eyes) for frame in frames], np.float32),
        "warped": planes([s.warped for s in staged]),
        "patched": np.stack([s.patched for s in staged]),
        "field": np.stack([s.field for s in staged]).transpose(0, 3, 1, 2).copy(),
        "outside": np.stack([s.outside for s in staged]),
        "small": planes([s.small for s in staged]),
        "drive": np.stack([s.drive for s in staged]),
        "flow": np.stack([s.flow for s in staged]),
    }
