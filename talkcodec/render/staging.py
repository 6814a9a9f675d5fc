# SPDX-License-Identifier: Apache-2.0
"""What the generator's networks are given: a geometric warp, and what drives them to improve it.

Training and the renderer stage pictures by the same code, so a network sees in a call what it saw
when it was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.render.drive import DRIVE_SIDE, drive
from talkcodec.render.field import rim_distance
from talkcodec.render.geometric import (
    FLOW_SIDE,
    GeometricRenderer,
    Layer,
    ReferenceView,
    Target,
    resample,
)
from talkcodec.render.layer import outside_weight
from talkcodec.types import F32, U8, Bool

#: Side of the flow that networks see; they are given it in units of 16, to be about 1.
INPUT_SIDE, INPUT_UNIT = 64, 16.0


@dataclass(frozen=True, slots=True)
class Staged:
    """A frame about to be generated, S being the side of the reference.

    ``warped``: uint8 (S, S, 3), what the geometric renderer draws; ``patched``: bool (S, S), where
    that is mended, painted or comes from other references. ``field``: float32 (128, 128, 2), the
    flow that it was warped with, canvas units; ``outside``: float32 (128, 128), where the flow may
    be corrected. ``small``: uint8 (128, 128, 3); ``drive``: uint8 (5, 128, 128); ``flow``: float32
    (3, 64, 64): the inputs of ``MotionNet``.
    """

    warped: U8
    patched: Bool
    field: F32
    outside: F32
    small: U8
    drive: U8
    flow: F32


def stage(
    renderer: GeometricRenderer,
    target: Target,
    primary: ReferenceView,
    bank: Sequence[ReferenceView] = (),
    layers: Sequence[Layer] = (),
) -> Staged:
    """Draw ``target`` geometrically and gather what the networks need."""
    flow = renderer.flow(target, primary, layers)
    plain = resample(primary.picture, flow.field)
    warped = renderer.patched(plain, target, primary, bank, flow)
    patched = np.asarray((warped != plain).any(-1), np.bool_)
    size = (DRIVE_SIDE, DRIVE_SIDE)
    small = cv2.resize(warped, size, interpolation=cv2.INTER_AREA)
    size = (INPUT_SIDE, INPUT_SIDE)
    coarse = cv2.resize(flow.field, size, interpolation=cv2.INTER_AREA) / INPUT_UNIT
    distance = np.minimum(rim_distance(target.landmarks, INPUT_SIDE), 2)
    return Staged(
        warped,
        patched,
        flow.field,
        outside_weight(target.landmarks, FLOW_SIDE),
        np.asarray(small, np.uint8),
        drive(target.landmarks),
        np.stack([coarse[..., 0], coarse[..., 1], distance]).astype(np.float32),
    )
