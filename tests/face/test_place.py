# SPDX-License-Identifier: Apache-2.0
"""Crops show what their matrix says, to a fraction of a pixel, and points find their way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import InputError
from talkcodec.face.place import MARGIN, Place
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.types import F32, F64, U8

places = st.builds(
    Place,
    x=st.floats(-50, 700),
    y=st.floats(-50, 700),
    side=st.floats(5, 900),
    roll=st.floats(-4, 4),
)


def turned(points: F32 | F64, angle: float, about: tuple[float, float]) -> F64:
    """Turn points (N, 2) clockwise, as one sees it, in a picture whose y points down."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = (np.asarray(points, np.float64) - about).T
    return np.asarray(np.column_stack([c * x - s * y, s * x + c * y]) + about, np.float64)


def spot(shape: tuple[int, int], x: float, y: float, size: float) -> U8:
    """Draw a soft white spot whose middle is (x, y), where pixel centres lie at .5."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    light = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * size**2))
    return np.repeat((255 * light).astype(np.uint8)[..., None], 3, 2)


def middle(picture: U8) -> F64:
    """Return where the light of ``picture`` is, (x, y)."""
    light = picture[..., 1].astype(np.float64)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    x, y = (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()
    return np.array([x, y], np.float64)


@given(place=places, seed=st.integers(0, 99))
def test_to_crop_and_to_picture_are_each_others_inverse(place: Place, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-200, 900, (7, 3)).astype(np.float32)
    back = place.to_picture(place.to_crop(points))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, points, atol=2e-3)
    inside = np.random.default_rng(seed).uniform(-0.5, 0.5, (7, 3)).astype(np.float32)
    np.testing.assert_allclose(place.to_crop(place.to_picture(inside)), inside, atol=1e-3)


@given(place=places, seed=st.integers(0, 99))
def test_the_matrix_and_to_crop_are_one_map(place: Place, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-200, 900, (7, 3)).astype(np.float32)
    matrix = place.matrix(96)
    pixels = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    reach = np.abs(pixels).max() + 96
    np.testing.assert_allclose((place.to_crop(points)[:, :2] + 0.5) * 96, pixels, atol=1e-5 * reach)


def test_depth_is_scaled_like_width() -> None:
    place = Place(30, 40, 50, 0.3)
    assert place.to_crop(np.array([[0, 0, 25]], np.float32))[0, 2] == pytest.approx(0.5)
    assert place.to_picture(np.array([[0, 0, 0.5]], np.float32))[0, 2] == pytest.approx(25)


def test_a_place_of_the_whole_picture_is_the_picture() -> None:
    picture = portrait_picture(64)
    np.testing.assert_array_equal(Place(32, 32, 64).crop(picture, 64), picture)
    # And a quarter turn moves every pixel to another's place, exactly.
    quarter = Place(32, 32, 64, np.pi / 2).crop(picture, 64)
    assert np.abs(quarter.astype(int) - np.rot90(picture)).max() <= 1


@pytest.mark.parametrize("size", [128, 97])
@pytest.mark.parametrize(
    "place",
    [
        Place(100, 90, 128),
        Place(101.3, 88.8, 70, 0.4),
        Place(95.2, 99.7, 150.5, -0.7),
        Place(110, 80, 190, 2.8),
        Place(80.5, 100.1, 250, -0.1),
    ],
)
def test_a_crop_shows_what_its_matrix_says(place: Place, size: int) -> None:
    x, y = 103.4, 92.1
    seen = middle(place.crop(spot((181, 203), x, y, 4 * place.side / size), size))
    expected = place.matrix(size) @ (x, y, 1)
    assert np.abs(seen - expected).max() < 0.05


@pytest.mark.parametrize("roll", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(480, 640), (481, 643), (719, 1001)])
@pytest.mark.parametrize("side", [130, 200, 350, 460])
def test_a_crop_of_a_large_face_is_averaged_and_in_place(
    side: float, shape: tuple[int, int], roll: float
) -> None:
    """Also where the picture's sides are no multiples of what it is shrunk by."""
    place = Place(shape[1] - 240.3, shape[0] - 235.2, side, roll)
    x, y = place.x + 0.1 * side, place.y - 0.05 * side
    seen = middle(place.crop(spot(shape, x, y, 3 * side / 64), 64))
    assert np.abs(seen - place.matrix(64) @ (x, y, 1)).max() < 0.05


@pytest.mark.parametrize("side", [129, 255, 500, 790])
def test_fine_stripes_of_a_large_face_do_not_alias(side: float) -> None:
    picture = np.zeros((800, 800, 3), np.uint8)
    picture[:, ::2] = 255
    crop = Place(400, 400, side).crop(picture, 64)
    # Shares of a stripe remain; without averaging it is above 70.
    assert crop.std() < 30
    assert crop.mean() == pytest.approx(127.5, abs=4)


def test_beside_the_picture_the_border_is_what_was_asked_for() -> None:
    picture = np.full((50, 60, 3), 200, np.uint8)
    place = Place(0, 25, 40)
    assert (place.crop(picture, 32) == 200).all()
    dark = place.crop(picture, 32, cv2.BORDER_CONSTANT)
    assert (dark[:, :14] == 0).all()
    assert (dark[:, 18:] == 200).all()
    large = Place(0, 25, 90).crop(picture, 32, cv2.BORDER_CONSTANT)
    assert large[16, 0].tolist() == [0, 0, 0]


def test_a_crop_leaves_the_picture_alone_and_takes_any_memory() -> None:
    picture = portrait_picture()
    kept = picture.copy()
    view = picture[:, ::-1]
    view.flags.writeable = False
    crop = Place(128, 100, 140, 0.2).crop(view, 64)
    np.testing.assert_array_equal(crop, Place(128, 100, 140, 0.2).crop(view.copy(), 64))
    np.testing.assert_array_equal(picture, kept)


@given(
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.2, 6),
    shift=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
)
def test_around_a_turned_face_is_the_face_s_place_turned(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    marks = Track.load().portrait
    before = Place.around(marks)
    about = (before.x, before.y)
    moved = turned(marks[:, :2], angle, about) * scale + shift
    after = Place.around(moved)
    assert after.side == pytest.approx(before.side * scale, rel=1e-6)
    assert (after.x, after.y) == pytest.approx(
        (before.x * scale + shift[0], before.y * scale + shift[1]), abs=1e-5 * scale
    )
    difference = after.roll - before.roll - angle
    assert (np.cos(difference), np.sin(difference)) == pytest.approx((1, 0), abs=1e-6)


def test_around_holds_the_face_upright_in_the_middle() -> None:
    marks = Track.load().portrait
    crop = Place.around(marks).to_crop(marks)
    eyes = crop[263] - crop[33]
    assert eyes[0] > 0
    assert eyes[1] == pytest.approx(0, abs=1e-6)
    low, high = crop[:, :2].min(0), crop[:, :2].max(0)
    np.testing.assert_allclose(low + high, 0, atol=1e-5)
    assert (high - low).max() == pytest.approx(1 / MARGIN, abs=1e-5)
    # A margin of its own says how much is around.
    loose = Place.around(marks, margin=2 * MARGIN)
    assert loose.side == pytest.approx(2 * Place.around(marks).side)


def test_around_a_point_is_still_a_square() -> None:
    place = Place.around(np.full((478, 3), 7, np.float32))
    assert (place.x, place.y, place.roll) == (7, 7, 0)
    assert place.side == pytest.approx(MARGIN)
    assert place.crop(portrait_picture(64), 16).shape == (16, 16, 3)


def test_a_turned_picture_of_a_turned_face_gives_the_same_crop() -> None:
    """The picture, landmarks and ``roll`` turn the same way."""
    picture, marks = portrait_picture(), Track.load().portrait
    angle = 0.6
    # OpenCV's positive angle is anticlockwise; 127.5 is the middle in its pixel centres.
    matrix = cv2.getRotationMatrix2D((127.5, 127.5), -np.degrees(angle), 1.0)
    tilted = np.asarray(cv2.warpAffine(picture, matrix, (256, 256)), np.uint8)
    straight = Place.around(marks).crop(picture, 96)
    again = Place.around(turned(marks[:, :2], angle, (128, 128))).crop(tilted, 96)
    inner = slice(20, 76)
    difference = np.abs(straight[inner, inner].astype(int) - again[inner, inner])
    assert difference.mean() < 3


@pytest.mark.parametrize("shape", [(256, 256), (4, 2000), (2000, 4), (1, 1), (3, 700), (479, 641)])
@pytest.mark.parametrize("side", [1e-3, 2000, 128000, 1e9, 1e300])
def test_places_far_larger_than_the_picture_are_crops_too(
    shape: tuple[int, int], side: float
) -> None:
    picture = np.full((*shape, 3), 90, np.uint8)
    for border in (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT):
        crop = Place(shape[1] / 2, shape[0] / 2, side).crop(picture, 64, border)
        assert crop.shape == (64, 64, 3)
        assert crop.max() <= 90
        if border == cv2.BORDER_REPLICATE:
            assert (crop == 90).all()


def test_a_strip_is_shrunk_no_more_than_it_is_high() -> None:
    """What is left of its height still lies where the matrix says."""
    picture = np.zeros((4, 2000, 3), np.uint8)
    picture[:, 1000:] = 200
    crop = Place(1000, 2, 2000).crop(picture, 128)
    assert (crop[:, :62] == 0).all()
    assert (crop[:, 66:] == 200).all()
    dark = Place(1000, 2, 2000).crop(picture, 128, cv2.BORDER_CONSTANT)
    assert (dark[[0, 60, 67, 127]] == 0).all()


@pytest.mark.parametrize(
    "place",
    [
        Place(1, 1, 0),
        Place(1, 1, -5),
        Place(1, 1, np.nan),
        Place(1, 1, np.inf),
        Place(np.nan, 1, 9),
        Place(1, -np.inf, 9),
        Place(1, 1, 9, np.nan),
    ],
)
def test_what_is_no_place_is_told(place: Place) -> None:
    with pytest.raises(InputError, match=r"^expected a finite place of a side above 0, found"):
        place.crop(portrait_picture(64), 16)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_there_is_no_place_around_landmarks_that_are_not_finite(value: float) -> None:
    marks = Track.load().portrait.copy()
    marks[100, 1] = value
    with pytest.raises(InputError, match=r"^expected finite landmarks, found others$"):
        Place.around(marks)
