# SPDX-License-Identifier: Apache-2.0
"""Crops of mouth and eyes are upright and of one size, and changes land where they were cut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.media.sources import Track, portrait_picture
from talkcodec.models.closeup import EYES_SIZE, MOUTH_SIZE, PLANES
from talkcodec.motion.landmarks import (
    EYELIDS,
    IRISES,
    LEFT_EYE,
    LIPS,
    LIPS_OUTER,
    RIGHT_EYE,
)
from talkcodec.render.cells import pixels
from talkcodec.render.closeup import EYES_PART, MOUTH_PART, Part, window
from talkcodec.types import F64, U8


def portrait(side: int = 256) -> U8:
    size = (side, side)
    return np.asarray(cv2.resize(portrait_picture(), size, interpolation=cv2.INTER_AREA), np.uint8)


def marks() -> F64:
    return np.asarray(Track.load().portrait, np.float64)


def turned(points: F64, angle: float, scale: float, shift: tuple[float, float]) -> F64:
    """Return ``points`` turned and scaled about (128, 128), and shifted, in the plane."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    out = points.copy()
    out[:, :2] = (points[:, :2] - 128) @ turn.T + 128 + shift
    return out


def in_crop(part: Part, points: F64) -> F64:
    box = part.box(points)
    return np.asarray((points[:, :2] - box[:, 2]) @ np.linalg.inv(box[:, :2]).T)


both = pytest.mark.parametrize("part", [MOUTH_PART, EYES_PART], ids=lambda part: part.name)


def planes_of(part: Part, picture: U8, points: F64) -> U8:
    return part.planes(picture, points, part.box(points), part.told(picture, points))


@both
def test_the_network_takes_what_is_cut(part: Part) -> None:
    planes = planes_of(part, portrait(), marks())
    assert (part.width, part.height) == {"mouth": MOUTH_SIZE, "eyes": EYES_SIZE}[part.name]
    assert planes.shape == (PLANES, part.height, part.width)
    assert planes.dtype == np.uint8
    assert pixels(planes).flags["C_CONTIGUOUS"]
    # The opening lies within the lips, irises within the lids.
    inner, outer = planes[3:5] if part is MOUTH_PART else planes[4:2:-1]
    assert (outer >= inner).all()
    assert 0 < inner.mean() < outer.mean() < 80
    assert np.array_equal(planes[3], planes[8])
    assert np.array_equal(planes[:3], planes[5:8])


@both
@pytest.mark.parametrize("side", [256, 512])
def test_outlines_lie_on_what_they_outline(part: Part, side: int) -> None:
    fine, points = 2048, turned(marks(), 0.2, 1.0, (3.3, -4.7))
    drawn = np.zeros((fine, fine, 3), np.uint8)
    for outline in (LIPS_OUTER,) if part is MOUTH_PART else (LEFT_EYE, RIGHT_EYE):
        corners = points[list(outline), :2] * (fine / 256) - 0.5
        cv2.fillPoly(drawn, [np.rint(corners).astype(np.int32)], (255, 255, 255))
    picture = np.asarray(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    planes = planes_of(part, picture, points)
    outline = planes[4] if part is MOUTH_PART else planes[3]
    assert np.allclose(middle(planes[0]), middle(outline), atol=0.2)
    # OpenCV fills outlines with their rims, half a pixel wider.
    assert 0.7 * outline.sum() < planes[0].sum() < 1.02 * outline.sum()


def middle(plane: U8) -> F64:
    """Return the centre of mass of ``plane``, (x, y) in pixels."""
    y, x = np.indices(plane.shape)
    weighed = [(plane * axis).sum() / plane.sum() for axis in (x, y)]
    return np.array(weighed, np.float64)


@both
@pytest.mark.parametrize("angle", [-0.6, 0.0, 1.2])
@pytest.mark.parametrize("scale", [0.5, 1.4])
def test_faces_turned_scaled_and_shifted_in_the_plane_give_one_crop(
    part: Part, angle: float, scale: float
) -> None:
    moved = turned(marks(), angle, scale, (13.0, -7.0))
    assert np.allclose(in_crop(part, moved), in_crop(part, marks()), atol=1e-6)
    inside = in_crop(part, marks())
    own = inside[list({"mouth": LIPS, "eyes": EYELIDS}[part.name])]
    assert np.allclose(own.mean(0), (part.width / 2, part.height / 2))
    assert inside[IRISES[0], 1] == pytest.approx(inside[IRISES[5], 1])
    assert 0.4 * part.width < np.ptp(own[:, 0]) < 0.9 * part.width


@both
@pytest.mark.parametrize("side", [256, 512])
def test_no_change_puts_back_the_warped_part_and_leaves_the_rest(part: Part, side: int) -> None:
    painted, warped = np.full((side, side, 3), 90, np.uint8), portrait(side)
    box = part.box(marks())
    nothing = np.zeros((3, part.height, part.width), np.float32)
    out = part.replaced(painted, warped, nothing, box)
    x, y = np.rint(marks()[list(part.centre), :2].mean(0) * side / 256).astype(int)
    assert np.array_equal(out[y - 4 : y + 4, x - 4 : x + 4], warped[y - 4 : y + 4, x - 4 : x + 4])
    assert (out[-side // 8 :] == 90).all()
    assert (painted == 90).all()


@both
@pytest.mark.parametrize("side", [256, 512])
def test_a_change_lands_where_the_crop_was_cut(part: Part, side: int) -> None:
    picture = portrait(side) // 2 + 64  # nothing is clipped
    points = turned(marks(), 0.3, 1.0, (5.0, 2.0))
    box = part.box(points)
    before = part.crop(picture, box).astype(float)
    ramp = np.zeros((3, part.height, part.width), np.float32)
    ramp[0, 14:24, 50:60] = 60
    ramp[2, 24:34, 30:40] = -60
    after = part.crop(part.replaced(picture, picture, ramp, box), box).astype(float)
    change = after - before
    assert change[16:22, 52:58, 0].mean() == pytest.approx(60, abs=4)
    assert change[26:32, 32:38, 2].mean() == pytest.approx(-60, abs=4)
    assert np.abs(change[40:]).max() <= 3
    assert np.abs(change[..., 1]).max() <= 3


@both
@pytest.mark.parametrize("side", [256, 512])
def test_a_part_is_faded_over_in_floats_and_rounded_once(part: Part, side: int) -> None:
    random = np.random.default_rng(5)
    painted, warped = random.integers(0, 256, (2, side, side, 3)).astype(np.uint8)
    change = random.normal(0, 30, (3, part.height, part.width)).astype(np.float32)
    box = part.box(turned(marks(), 0.2, 1.1, (30.0, -20.0)))
    weight = window(part.width, part.height)
    to_picture = box * (side / 256)
    to_picture[:, 2] += to_picture[:, :2] @ (0.5, 0.5) - 0.5
    given = np.dstack([*(change * weight), weight])
    spread = cv2.warpAffine(given, to_picture, (side, side), flags=cv2.INTER_LINEAR)
    before = painted.astype(np.float32)
    mixed = before + spread[..., 3:] * (warped - before) + spread[..., :3]
    wanted = np.clip(np.rint(mixed), 0, 255)
    assert np.abs(part.replaced(painted, warped, change, box) - wanted).max() <= 1


@both
def test_the_window_is_whole_within_and_nothing_at_the_edge(part: Part) -> None:
    weight = window(part.width, part.height)
    w, h = part.width // 4, part.height // 4
    assert weight.shape == (part.height, part.width)
    assert weight[h:-h, w:-w].min() == 1
    assert max(weight[0].max(), weight[:, -1].max()) < 0.03
    assert np.array_equal(weight, weight[::-1, ::-1])


@both
@settings(max_examples=30, deadline=None)
@given(st.floats(-4000, 4000), st.floats(-4000, 4000), st.floats(0, 50), st.floats(-10, 10))
def test_no_landmarks_break_it(part: Part, x: float, y: float, scale: float, angle: float) -> None:
    points = turned(marks(), angle, scale, (x, y))
    picture = portrait(64)
    planes = planes_of(part, picture, points)
    change = np.full((3, part.height, part.width), 20, np.float32)
    out = part.replaced(picture, picture, change, part.box(points))
    assert planes.shape == (9, part.height, part.width)
    assert out.shape == picture.shape
