# SPDX-License-Identifier: Apache-2.0
"""What the networks are given comes from where it should: the told parts from who tells most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talkcodec import weights
from talkcodec.motion.landmarks import LEFT_LID_GAP, LIP_GAP, RIGHT_LID_GAP
from talkcodec.render.closeup import EYES_PART, MOUTH_PART
from talkcodec.render.geometric import GeometricRenderer, ReferenceView
from talkcodec.render.staging import stage, teller, told_by
from talkcodec.types import F64, U8
from tests.render.test_generated import scene

TARGET, VIEW = scene()
RENDERER = GeometricRenderer(weights.shape_model(), weights.topology())


def flat(level: int, shape: F64) -> ReferenceView:
    return replace(VIEW, picture=np.full((256, 256, 3), level, np.uint8), shape=shape)


def opened(gaps: tuple[tuple[int, int], ...], wider: float) -> F64:
    shape = VIEW.shape.copy()
    for _, low in gaps:
        shape[low, 1] += wider
    return shape


LIDS = (LEFT_LID_GAP, RIGHT_LID_GAP)
WIDE, ASLEEP = flat(200, opened((LIP_GAP,), 0.3)), flat(90, opened(LIDS, -0.1))
USUAL = flat(30, VIEW.shape)


def test_mouths_are_told_by_the_widest_and_eyes_by_the_sleepiest_whoever_is_drawn_from() -> None:
    for views in ((USUAL, WIDE, ASLEEP), (ASLEEP, USUAL, WIDE), (WIDE, ASLEEP)):
        assert teller(MOUTH_PART, views) is WIDE
        assert teller(EYES_PART, views) is ASLEEP
        seen = stage(RENDERER, TARGET, views[0], views[1:]).parts
        assert [s.part for s in seen] == [MOUTH_PART, EYES_PART]
        assert [int(s.planes[5:8].min()) for s in seen] == [200, 90]
        assert [int(s.planes[5:8].max()) for s in seen] == [200, 90]


def test_what_is_told_may_be_remembered_and_parts_left_out() -> None:
    asked: list[str] = []

    def told(part: object, view: ReferenceView) -> U8:
        assert part is MOUTH_PART
        asked.append(MOUTH_PART.name)
        return told_by(MOUTH_PART, view)

    one = stage(RENDERER, TARGET, VIEW, parts=(MOUTH_PART,), told=told)
    assert asked == ["mouth"]
    both = stage(RENDERER, TARGET, VIEW)
    assert np.array_equal(one.parts[0].planes, both.parts[0].planes)
    assert stage(RENDERER, TARGET, VIEW, parts=()).parts == ()


def test_patched_is_where_other_references_show() -> None:
    other = replace(VIEW, picture=255 - VIEW.picture, shape=TARGET.shape)
    staged, plain = (stage(RENDERER, TARGET, ASLEEP, bank) for bank in ((other,), ()))
    assert not plain.patched.any()
    assert 0.002 < staged.patched.mean() < 0.2
    assert np.array_equal((staged.warped != plain.warped).any(-1), staged.patched)
