# SPDX-License-Identifier: Apache-2.0
"""What the networks are given comes from where it should: the told parts from who tells most."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from talkcodec import weights
from talkcodec.motion.landmarks import LEFT_LID_GAP, LIP_GAP, RIGHT_LID_GAP
from talkcodec.render.closeup import EYES_PART, MOUTH_PART
from talkcodec.render.geometric import GeometricRenderer, ReferenceView
from talkcodec.render.mend import TEAR, harm
from talkcodec.render.patches import REGIONS, Region, region_mask
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


def test_flows_of_one_target_share_what_does_not_depend_on_a_reference() -> None:
    renderer = GeometricRenderer(weights.shape_model(), weights.topology())
    moved = replace(VIEW, landmarks=VIEW.landmarks + 3)
    one, other = (renderer.flow(TARGET, view) for view in (VIEW, moved))
    assert one.ground is other.ground
    assert not np.array_equal(one.field, other.field)
    assert np.array_equal(RENDERER.flow(TARGET, moved).field, other.field)
    assert renderer.flow(TARGET, moved) is other
    assert renderer.flow(replace(TARGET), moved).ground is not other.ground


def test_a_layer_makes_another_flow() -> None:
    bends = ((1, np.array([9, 0, 0, 0, 0, 0], np.float32)),)
    plain, layered = RENDERER.flow(TARGET, VIEW), RENDERER.flow(TARGET, VIEW, bends)
    assert layered.ground is plain.ground
    beyond = plain.ground.outside == 1
    assert np.allclose((layered.field - plain.field)[beyond], (4.5, 0), atol=1e-4)
    assert RENDERER.flow(TARGET, VIEW, bends) is layered


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
@pytest.mark.parametrize("shift", [0.0, 90.0, -130.0, 400.0])
def test_a_regions_mask_falls_off_with_the_distance(
    region: Region, side: int, shift: float
) -> None:
    landmarks = TARGET.landmarks + np.array([shift, shift / 3, 0])
    drawn = np.zeros((side, side), np.uint8)
    for outline in region.outlines:
        hull = cv2.convexHull((landmarks[list(outline), :2] * (side / 256) - 0.5).astype("f"))
        cv2.fillConvexPoly(drawn, np.rint(hull).astype(np.int32), 255)
    apart = float(np.linalg.norm(landmarks[468, :2] - landmarks[473, :2])) * (side / 256)
    reach = max(region.margin * apart, 1.0)
    far = np.minimum(cv2.distanceTransform(255 - drawn, cv2.DIST_L2, cv2.DIST_MASK_3), 4 * side)
    wanted = np.clip((1.25 * reach - far) / (0.5 * reach), 0, 1).astype(np.float32)
    mask, box = region_mask(region, landmarks, side)
    whole = np.zeros((side, side), np.float32)
    whole[box] = mask
    np.testing.assert_allclose(whole, wanted, atol=1e-6)
    assert np.array_equal(whole > 0, wanted > 0)
    if mask.size:
        assert min(mask[[0, -1]].max(1).min(), mask[:, [0, -1]].max(0).min()) > 0


def test_where_the_warp_tears_the_nearest_other_reference_shows() -> None:
    # The head lay far beyond the picture's edge: bars, but for who has it in place.
    away = replace(USUAL, landmarks=VIEW.landmarks + np.array((0.0, 120.0, 0.0)))
    near, far = flat(200, VIEW.shape), replace(flat(90, VIEW.shape), landmarks=VIEW.landmarks + 9)
    drawn = RENDERER.flow(TARGET, away)
    harmed = harm(drawn.field, drawn.ground.cover.inside)
    assert harmed is not None
    alone, lent = (stage(RENDERER, TARGET, away, bank).warped for bank in ((), (far, near)))
    assert alone.max() < 90  # nothing but the one reference, of 30
    places = cv2.resize(harmed, (256, 256), interpolation=cv2.INTER_NEAREST) >= TEAR
    assert lent[places].mean() > 150
    # A sender asks again for the flow that it has just drawn along: the loan has not replaced it.
    flow = RENDERER.flow(TARGET, away)
    RENDERER.patched(away.picture, TARGET, away, (far, near), flow)
    assert RENDERER.flow(TARGET, away) is flow
