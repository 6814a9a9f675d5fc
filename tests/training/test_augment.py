# SPDX-License-Identifier: Apache-2.0
"""What calls do to pictures: repeatable, visible, and landmarks stay true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from talkcodec.media.sources import Track, portrait_picture
from talkcodec.types import F32, U8
from training.augment import CallAugmentation, augment_call, damage, light, occlude
from training.augment.bend import STRENGTH, bent
from training.augment.mirror import mirrored_landmarks
from training.tasks.faces import mirrored, narrowed

SIDE = 128
Random = np.random.Generator


@pytest.fixture(scope="module")
def picture() -> U8:
    return portrait_picture(SIDE)


@pytest.fixture(scope="module")
def points() -> F32:
    return np.asarray(Track.load().portrait[:, :2] * (SIDE / 256), np.float32)


@pytest.fixture(scope="module")
def other() -> U8:
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


EFFECTS: dict[str, Callable[[U8, F32, U8, Random], U8]] = {
    "exposure": lambda p, _, __, r: light.exposure(p, r),
    "low_light": lambda p, _, __, r: light.low_light(p, r),
    "side_light": lambda p, _, __, r: light.side_light(p, r),
    "shadow": lambda p, _, __, r: light.shadow(p, r),
    "grey": lambda p, _, __, ___: light.grey(p),
    "blur": lambda p, _, __, r: damage.blur(p, r),
    "motion_blur": lambda p, _, __, r: damage.motion_blur(p, r),
    "noise": lambda p, _, __, r: damage.noise(p, r),
    "low_resolution": lambda p, _, __, r: damage.low_resolution(p, r),
    "h264": lambda p, _, __, r: damage.h264(p, r),
    "vp8": lambda p, _, __, r: damage.vp8(p, r),
    "occluder": lambda p, m, o, r: occlude.occluder(p, o, m, r),
    "occluded_mouth": lambda p, m, o, r: occlude.occluder(p, o, m, r, mouth=True),
    "glasses": lambda p, m, _, r: occlude.glasses(p, m, r),
    "glare": lambda p, m, _, r: occlude.glare(p, m, r),
}


def test_every_effect_is_here() -> None:
    assert EFFECTS.keys() == {field.name for field in fields(CallAugmentation)}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_visible_repeatable_and_keeps_the_shape(
    name: str, picture: U8, points: F32, other: U8
) -> None:
    effect, before = EFFECTS[name], picture.copy()
    results = []
    for seed in range(6):
        one, two = (effect(picture, points, other, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == picture.shape
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)
        assert np.abs(one.astype(int) - picture).max() > 5
        results.append(one)
    np.testing.assert_array_equal(picture, before)
    if name != "grey":
        assert any((a != results[0]).any() for a in results[1:])


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - {"low_light", "occluder", "motion_blur"}))
def test_an_effect_moves_nothing(name: str, picture: U8, points: F32, other: U8) -> None:
    """The picture still fits itself best where it was, not a few pixels aside."""
    seen = EFFECTS[name](picture, points, other, np.random.default_rng(4)).mean(2)
    plain = picture.mean(2)
    inner = slice(16, -16)

    def fit(x: int, y: int) -> float:
        shifted = np.roll(plain, (y, x), (0, 1))
        return float(np.corrcoef(shifted[inner, inner].ravel(), seen[inner, inner].ravel())[0, 1])

    best = max(((x, y) for x in range(-3, 4) for y in range(-3, 4)), key=lambda at: fit(*at))
    assert best == (0, 0)


def test_motion_blur_leaves_the_middle_where_it_is() -> None:
    dot = np.zeros((SIDE, SIDE, 3), np.uint8)
    dot[60:67, 60:67] = 255
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for seed in range(12):
        light_ = damage.motion_blur(dot, np.random.default_rng(seed)).sum(2).astype(float)
        where = (columns * light_).sum() / light_.sum(), (rows * light_).sum() / light_.sum()
        assert where == pytest.approx((63, 63), abs=0.8)


def test_glasses_and_hands_are_on_the_face(picture: U8, points: F32, other: U8) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    eyes = points[[33, 133, 362, 263]].mean(0)
    mouth = points[[13, 14]].mean(0)
    for name, where, reach in (
        ("glasses", eyes, 12),
        ("glare", eyes, 20),
        ("occluded_mouth", mouth, 12),
    ):
        for seed in range(5):
            seen = EFFECTS[name](picture, points, other, np.random.default_rng(seed))
            weight = np.abs(seen.astype(int) - picture).sum(2).astype(float)
            middle = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
            assert np.abs(middle - where).max() < reach, (name, seed)


def test_h264_and_vp8_cost_quality_not_colour(picture: U8) -> None:
    fine, coarse = (damage.h264_frames([picture], q)[0].astype(int) for q in (20, 45))
    assert np.abs(fine - picture).mean() < 4
    assert 4 < np.abs(coarse - picture).mean() < 25
    for seed in range(4):
        seen = damage.vp8(picture, np.random.default_rng(seed)).astype(int)
        assert np.abs((seen - picture).mean((0, 1))).max() < 4  # red stays red


def test_a_picture_meets_each_effect_as_often_as_was_said(
    picture: U8, points: F32, other: U8
) -> None:
    never: dict[str, float] = {field.name: 0.0 for field in fields(CallAugmentation)}
    same = augment_call(picture, points, other, CallAugmentation(**never), np.random.default_rng(0))
    np.testing.assert_array_equal(same, picture)
    one = CallAugmentation(**{**never, "grey": 0.3})
    random = np.random.default_rng(0)
    count = sum(
        bool((augment_call(picture, points, other, one, random)[..., 0] != picture[..., 0]).any())
        for _ in range(300)
    )
    assert 60 < count < 120
    with pytest.raises(ValueError, match=r"^expected blur in 0 to 1, found 1\.5"):
        CallAugmentation(blur=1.5)


def test_all_effects_together_depend_on_the_generator_only(
    picture: U8, points: F32, other: U8
) -> None:
    always = CallAugmentation(**{field.name: 1.0 for field in fields(CallAugmentation)})
    one, two, three = (
        augment_call(picture, points, other, always, np.random.default_rng(seed))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def dots(points: F32, side: int) -> U8:
    """Draw a soft red, green and blue spot at three points in sides about the middle."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    out = np.zeros((side, side, 3), np.uint8)
    for channel, (x, y) in enumerate((points[:3, :2] + 0.5) * side):
        out[..., channel] = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.5**2))
    return out


def found_dots(picture: U8) -> F32:
    side = picture.shape[0]
    rows, columns = np.mgrid[:side, :side] + 0.5
    out = []
    for channel in range(3):
        weight = picture[..., channel].astype(float)
        x, y = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
        out.append((x / side - 0.5, y / side - 0.5))
    return np.array(out, np.float32)


@pytest.mark.parametrize("side", [128, 192])
def test_a_bend_moves_landmarks_with_the_picture(side: int) -> None:
    points = np.array([(-0.2, -0.1, 0.3), (0.15, 0.2, 0.1), (0.05, -0.25, 0)], np.float32)
    furthest = 0.0
    for seed in range(12):
        picture, there = bent(dots(points, side), points, np.random.default_rng(seed))
        assert picture.dtype == np.uint8
        assert there.dtype == np.float32
        np.testing.assert_array_equal(there[:, 2], points[:, 2])
        # Half a pixel: a spot is not a point.
        np.testing.assert_allclose(found_dots(picture), there[:, :2], atol=0.5 / side)
        furthest = max(furthest, float(np.abs(there - points).max()))
    assert STRENGTH < furthest < 5 * STRENGTH


def test_a_bend_is_repeatable_and_leaves_its_input_alone(picture: U8, points: F32) -> None:
    marks = np.column_stack([points / SIDE - 0.5, points[:, :1]]).astype(np.float32)
    kept = marks.copy()
    one, two = (bent(picture, marks, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    np.testing.assert_array_equal(marks, kept)
    assert (one[0] != picture).any()


def test_mirroring_exchanges_partners_and_undoes_itself() -> None:
    partner = mirrored_landmarks()
    assert partner.dtype == np.int32
    np.testing.assert_array_equal(partner[partner], np.arange(478))
    for left, right in ((263, 33), (362, 133), (473, 468), (291, 61), (454, 234), (386, 159)):
        assert partner[left] == right
    for middle in (1, 4, 13, 14, 152, 10):
        assert partner[middle] == middle


def test_a_mirrored_picture_shows_its_landmarks() -> None:
    full, marks = portrait_picture(), np.asarray(Track.load().portrait, np.float32)
    seen, there = mirrored(full, marks)
    for index in (33, 263, 468, 61, 10):
        partner = int(mirrored_landmarks()[index])
        assert there[partner, 0] == pytest.approx(256 - marks[index, 0])
        assert there[partner, 1] == pytest.approx(marks[index, 1])
        x, y = marks[index, :2].astype(int)
        np.testing.assert_array_equal(seen[y, 255 - x], full[y, x])
    again, back = mirrored(seen, there)
    np.testing.assert_array_equal(again, full)
    np.testing.assert_allclose(back, marks, atol=1e-4)


def test_a_narrowed_picture_shows_its_landmarks() -> None:
    points = np.array([(-0.2, -0.1, 0.3), (0.15, 0.2, 0.1), (0.05, -0.25, 0)], np.float32)
    picture = dots(points, 256)
    pixels = (points + np.array([0.5, 0.5, 0], np.float32)) * np.array([256, 256, 1], np.float32)
    seen, there = narrowed(picture, pixels, 0.8)
    assert np.ptp(there[:, 0]) == pytest.approx(0.8 * np.ptp(pixels[:, 0]), rel=1e-4)
    np.testing.assert_allclose((found_dots(seen) + 0.5) * 256, there[:, :2], atol=0.3)
