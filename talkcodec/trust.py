# SPDX-License-Identifier: Apache-2.0
"""What speaks against drawing a frame: the evidence of failure.

A face codec fails in ways that an average hides: a hand is a small part of the picture, another
person's mouth moves as well as ours. So each signal looks for one kind of failure, where it shows:

* ``away``: nobody is tracked (left, covered, turned off), in seconds;
* ``sure``: the tracker's own confidence, which falls under a hand or beyond the picture's rim;
* ``face``: the worst spot in the face of what no shift by a pixel or two explains between the
  frame and what any of the nearest references would draw. A hand, a cup, a mask and another person
  show here; so do turns that no reference has seen;
* ``rest``: the same beside the face, against what is usual there: backgrounds bend behind a moving
  head, some much more than others. Somebody who comes in, or another picture on a screen;
* ``turn``: radians between the head and the chosen reference's: what turns into view is not
  explained either, and is no failure;
* ``whole``: the mean of that over all of the face, high where somebody else sits there now;
* ``rival``: height of the largest other face in view, as a share of ours;
* ``light``, ``detail``: mean and contrast of the picture against the seconds before, which fall
  together when a lens is covered, and the second alone when a bright finger covers it.

Nothing here decides: ``talkcodec.modes`` does. Left out, for it told nobody apart within half a
second: how far the identity coefficients of late are from those that the call began with (people
differ by 0.5 to 1.8 steps, one person's expressions by up to 1.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from talkcodec.analysis import Choice
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS, OVAL
from talkcodec.render.field import pixel_grid, sampled
from talkcodec.render.layer import bent, outside_weight
from talkcodec.types import CANVAS, F32, F64, U8, Bool, Box

#: Side of the pictures that are compared: one pixel is four canvas units.
SIDE = 64
#: Difference, in 8-bit steps, that noise and coding explain.
NOISE_STEPS = 8.0
#: Side of the spot over which what is unexplained is averaged, as a share of the face's width.
SPOT = 0.5
#: Contrast of an ordinary face, the standard deviation of its luma in 8-bit steps, and how much
#: flatter or stronger ones change what counts: a hand before a dim face makes small differences.
CONTRAST, FLATTEST, STRONGEST = 40.0, 0.35, 1.3
#: Seconds over which light and detail are remembered.
MEMORY = 4.0
#: Seconds that a face may have been away before the first frame without it, at most: how much of
#: the time between two frames of a slow source it was there is not known.
UNSEEN = 0.1
#: Weight of lips and eyes, whose own motion uncovers what no reference may show.
FEATURES = 0.4

#: Thumbnails of references that are kept: as many as a bank may hold.
KEPT = 8

_CELL = CANVAS / SIDE


@dataclass(frozen=True, slots=True)
class Evidence:
    """One look at a frame; the module's docstring says what each value catches.

    ``time``, ``away``: seconds; ``turn``: radians. ``face``, ``rest`` and ``whole`` are in 8-bit
    steps, the two of the face as they would be at ordinary contrast; the others are shares, from
    0. What could not be measured is NaN.
    """

    time: float
    away: float = 0.0
    sure: float = 1.0
    face: float = float("nan")
    rest: float = float("nan")
    turn: float = float("nan")
    whole: float = float("nan")
    rival: float = 0.0
    light: float = 1.0
    detail: float = 1.0


def thumbnail(picture: U8) -> U8:
    """Return ``picture`` (S, S, 3) at ``SIDE``²."""
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def unexplained(truth: U8, drawn: U8) -> F32:
    """Return what differs between two pictures (n, n, 3) beyond a shift by one pixel: (n, n) ≥ 0.

    Each is asked to lie between the darkest and brightest value that the other has nearby, both
    ways round: smooth skin is found near an eye, but an eye is not found near smooth skin.
    A change of exposure is taken out first.
    """
    ratio = (truth.astype(np.float32).mean() + 1) / (drawn.astype(np.float32).mean() + 1)
    scaled = cv2.convertScaleAbs(drawn, alpha=float(np.clip(ratio, 0.8, 1.25)))
    level = np.asarray(scaled, np.uint8)
    beyond = np.maximum(_outside(truth, level), _outside(level, truth))
    return np.asarray(beyond, np.float32)


def _outside(picture: U8, other: U8) -> F32:
    kernel = np.ones((3, 3), np.uint8)
    above = cv2.subtract(picture, cv2.dilate(other, kernel))
    below = cv2.subtract(cv2.erode(other, kernel), picture)
    steps = cv2.max(above, below).astype(np.float32).max(2) - NOISE_STEPS
    return np.asarray(np.maximum(steps, 0), np.float32)


@dataclass(frozen=True, slots=True)
class _Areas:
    """Where the face is, on a ``SIDE``² grid. ``beside``: ``outside_weight``. ``width``: of the
    face, in pixels.
    """

    face: Bool
    rest: Bool
    beside: F32
    weight: F32
    width: float

    @classmethod
    def of(cls, landmarks: F64) -> _Areas:
        """``landmarks``: (478, 3) in canvas units."""
        points = landmarks[:, :2] / _CELL - 0.5
        inside = np.zeros((SIDE, SIDE), np.uint8)
        _fill(inside, points[list(OVAL)])
        features = np.zeros((SIDE, SIDE), np.uint8)
        for part in (LIPS, EYELIDS[:16] + IRISES[5:], EYELIDS[16:] + IRISES[:5]):
            _fill(features, points[list(part)])
        near_them = cv2.dilate(features, np.ones((3, 3), np.uint8))
        weight = np.where(near_them > 0, np.float32(FEATURES), np.float32(1))
        beside = outside_weight(landmarks, SIDE)
        width = float(np.ptp(points[list(OVAL), 0]))
        return cls(inside > 0, beside > 0.6, beside, weight.astype(np.float32), width)


def _fill(mask: U8, points: F64) -> None:
    hull = cv2.convexHull(np.clip(points, -4 * SIDE, 4 * SIDE).astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1)


def worst_spot(beyond: F32, where: Bool, size: float) -> float:
    """Return the highest mean of ``beyond`` (n, n) over squares of ``size`` pixels in ``where``."""
    if not where.any():
        return 0.0
    side = max(round(size) | 1, 3)
    held = np.where(where, beyond, np.float32(0))
    means = cv2.boxFilter(held, -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    return float(means.max())


@dataclass(slots=True)
class Witness:
    """Gathers the evidence of one stream."""

    _thumbs: list[tuple[U8, U8]] = field(default_factory=list)
    _light: float | None = None
    _detail: float = 0.0
    _time: float = 0.0
    _seen_at: float | None = None
    _missed: float | None = None  # since when no look found a face
    _rest: float | None = None
    _rest_at: float = 0.0
    _last: Evidence = Evidence(0.0)

    def absent(self, time: float, picture: U8) -> Evidence:
        """Return what a canvas ``picture`` (S, S, 3) without a face at ``time`` seconds says.

        What compares with references is as it was in the last look at a face: a hand that hides
        so much of it that nobody is found any more has not gone away.
        """
        light, detail = self._brightness(time, thumbnail(picture))
        if self._missed is None:
            self._missed = time
        unseen = 0.0 if self._seen_at is None else min(self._missed - self._seen_at, UNSEEN)
        away = time - self._missed + unseen
        return replace(
            self._last,
            time=time,
            away=away,
            sure=0.0,
            rival=0.0,
            light=light,
            detail=detail,
        )

    def forget(self) -> None:
        """Begin anew, perhaps with another person."""
        self._rest, self._last = None, Evidence(0.0)

    def look(
        self,
        time: float,
        picture: U8,
        landmarks: F64,
        *,
        sure: float = 1.0,
        others: Sequence[Box] = (),
        choice: Choice | None = None,
    ) -> Evidence:
        """Return what a canvas ``picture`` (S, S, 3) with a face says.

        ``landmarks``: (478, 3), as tracked; ``others``: boxes of further faces; both in canvas
        units. ``choice``: how it is going to be drawn, if anything has been sent yet.
        """
        thumb = thumbnail(picture)
        light, detail = self._brightness(time, thumb)
        face = rest = whole = float("nan")
        if choice is not None:
            face, rest, whole = self._unexplained(thumb, landmarks, choice)
            rest -= self._usual(time, rest)
        self._seen_at, self._missed = time, None
        self._last = Evidence(
            time,
            sure=sure,
            face=face,
            rest=rest,
            turn=float("nan") if choice is None else choice.turn,
            whole=whole,
            rival=_rival(landmarks, others),
            light=light,
            detail=detail,
        )
        return self._last

    def _brightness(self, time: float, thumb: U8) -> tuple[float, float]:
        """Return mean and contrast of ``thumb`` as shares of what they were."""
        luma = cv2.cvtColor(thumb, cv2.COLOR_RGB2GRAY)
        mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(luma))
        if self._light is None:
            self._light, self._detail, self._time = mean, deviation, time
        shares = (mean + 2) / (self._light + 2), (deviation + 2) / (self._detail + 2)
        keep = float(np.exp(-max(time - self._time, 0.0) / MEMORY))
        self._light = keep * self._light + (1 - keep) * mean
        self._detail = keep * self._detail + (1 - keep) * deviation
        self._time = time
        return shares

    def _usual(self, time: float, rest: float) -> float:
        """Return how much was unexplained beside the face of late, and take note of ``rest``."""
        before = rest if self._rest is None else self._rest
        keep = float(np.exp(-max(time - self._rest_at, 0.0) / MEMORY))
        self._rest, self._rest_at = keep * before + (1 - keep) * rest, time
        return before

    def _unexplained(self, thumb: U8, landmarks: F64, choice: Choice) -> tuple[float, float, float]:
        areas = _Areas.of(landmarks)
        least: F32 | None = None
        for index, (reference, flow) in enumerate(choice.tried):
            thin = cv2.resize(flow, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            small = np.asarray(thin, np.float32)
            if index == 0 and choice.layer is not None:
                small = bent(small, [choice.layer], areas.beside)
            drawn = _warp(self._thumb(reference.picture), small)
            if index == 0:
                contrast = _contrast(drawn, areas.face)
            beyond = unexplained(thumb, drawn)
            least = beyond if least is None else np.minimum(least, beyond)
        assert least is not None  # a choice has tried the reference that it names
        weighted = least * areas.weight
        size = SPOT * areas.width
        whole = float(weighted[areas.face].mean()) if areas.face.any() else 0.0
        face = worst_spot(weighted, areas.face, size)
        return face / contrast, worst_spot(least, areas.rest, size), whole / contrast

    def _thumb(self, picture: U8) -> U8:
        """Return the thumbnail of a banked picture, made once."""
        for held, thumb in self._thumbs:
            if held is picture:
                return thumb
        thumb = thumbnail(picture)
        self._thumbs = [*self._thumbs[1 - KEPT :], (picture, thumb)]
        return thumb


def _warp(thumb: U8, flow: F32) -> U8:
    """Sample ``thumb`` (n, n, 3) along ``flow`` (n, n, 2), in canvas units."""
    at = flow / np.float32(_CELL) + pixel_grid(SIDE)
    return sampled(thumb, at, cv2.INTER_LINEAR)


def _contrast(drawn: U8, face: Bool) -> float:
    """Return the contrast of ``drawn`` (n, n, 3) in ``face`` (n, n), as a share of ``CONTRAST``."""
    if not face.any():
        return 1.0
    luma = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)
    return float(np.clip(luma[face].std() / CONTRAST, FLATTEST, STRONGEST))


def _rival(landmarks: F64, others: Sequence[Box]) -> float:
    """Return the height of the largest other face of which half is in view, against ours."""
    height = max(float(np.ptp(landmarks[:, 1])), 1.0)
    seen = [box.height for box in others if _visible(box) >= 0.5]
    return max(seen, default=0.0) / height


def _visible(box: Box) -> float:
    """Return the share of ``box``, in canvas units, that lies on the canvas."""
    width = min(box.right, CANVAS) - max(box.left, 0.0)
    height = min(box.bottom, CANVAS) - max(box.top, 0.0)
    return max(width, 0.0) * max(height, 0.0) / max(box.width * box.height, 1e-6)
