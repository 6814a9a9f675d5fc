# SPDX-License-Identifier: Apache-2.0
"""What the generator's networks are given: a geometric warp, and what drives them to improve it.

Training and the renderer stage pictures by the same code, so a network sees in a call what it saw
when it was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.render.cells import planes
from talkcodec.render.closeup import MOUTH_PART, PARTS, Part, shrunk
from talkcodec.render.drive import DRIVE_SIDE, drive
from talkcodec.render.field import FIELD_SIDE
from talkcodec.render.geometric import (
    GeometricRenderer,
    Layer,
    ReferenceView,
    Target,
    warp,
)
from talkcodec.render.patches import eye_gap, mouth_gap
from talkcodec.types import F32, F64, U8, Bool

#: Side of the flow that networks see; they are given it in units of 16, to be about 1.
INPUT_SIDE, INPUT_UNIT = FIELD_SIDE, 16.0


#: What a reference tells of a part.
Told = Callable[[Part, ReferenceView], U8]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network of ``part`` is given: ``planes``, uint8 (9, height, width); ``box``: float64
    (2, 3), from its pixels to canvas units.
    """

    part: Part
    planes: U8
    box: F64


@dataclass(frozen=True, slots=True)
class Staged:
    """A frame about to be generated, S being the side of the reference.

    ``warped``: uint8 (S, S, 3), what the geometric renderer draws; ``patched``: bool (S, S), where
    that is mended, painted or comes from other references. ``field``: float32 (128, 128, 2), the
    flow that it was warped with, canvas units; ``outside``: float32 (128, 128), where the flow may
    be corrected; ``behind``: of ``Flow``. ``small``: uint8 (128, 128, 3); ``drive``:
    uint8 (5, 128, 128); ``flow``: float32 (3, 64, 64): the inputs of ``MotionNet``. ``parts``:
    inputs of the networks that look at a part closely.
    """

    warped: U8
    patched: Bool
    field: F32
    outside: F32
    behind: F32 | None
    small: U8
    drive: U8
    flow: F32
    parts: tuple[Seen, ...]


def stage(
    renderer: GeometricRenderer,
    target: Target,
    primary: ReferenceView,
    bank: Sequence[ReferenceView] = (),
    layers: Sequence[Layer] = (),
    *,
    parts: Sequence[Part] = PARTS,
    told: Told | None = None,
) -> Staged:
    """Draw ``target`` geometrically and gather what the networks need.

    ``parts``: that are looked at closely; ``told``: ``told_by``, or what remembers its answers.
    """
    flow = renderer.flow(target, primary, layers)
    plain = warp(primary, flow.field, flow.behind)
    drawn = renderer.patched(plain, target, primary, bank, flow)
    size = (DRIVE_SIDE, DRIVE_SIDE)
    small = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    size = (INPUT_SIDE, INPUT_SIDE)
    coarse = cv2.resize(flow.field, size, interpolation=cv2.INTER_AREA) / np.float32(INPUT_UNIT)
    distance = np.minimum(flow.ground.around.distance, 2)
    views = (primary, *bank)
    canvas = shrunk(drawn) if parts else drawn
    return Staged(
        drawn,
        _differs(drawn, plain),
        flow.field,
        flow.ground.outside,
        flow.behind,
        np.asarray(small, np.uint8),
        drive(target.landmarks),
        planes(np.asarray(cv2.merge([*cv2.split(coarse), distance]), np.float32)),
        tuple(_seen(part, canvas, target, views, told or told_by) for part in parts),
    )


def _differs(one: U8, other: U8) -> Bool:
    """Return where two pictures (S, S, 3) differ: bool (S, S)."""
    if one is other:
        return np.zeros(one.shape[:2], np.bool_)
    # OpenCV: ten times as fast as numpy's any() over three channels.
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.bitwise_or(cv2.bitwise_or(red, green), blue) > 0, np.bool_)


def teller(part: Part, views: Sequence[ReferenceView]) -> ReferenceView:
    """Return which of ``views`` tells most of ``part``: see ``talkcodec.render.closeup``."""
    if part is MOUTH_PART:
        return max(views, key=lambda view: mouth_gap(view.shape))
    return min(views, key=lambda view: eye_gap(view.shape))


def told_by(part: Part, view: ReferenceView) -> U8:
    """Return what ``view`` tells of ``part``, uint8 (4, height, width)."""
    return part.told(view.picture, view.landmarks)


def _seen(
    part: Part, picture: U8, target: Target, views: Sequence[ReferenceView], told: Told
) -> Seen:
    box = part.box(target.landmarks)
    planes = part.planes(picture, target.landmarks, box, told(part, teller(part, views)))
    return Seen(part, planes, box)
