# SPDX-License-Identifier: Apache-2.0
"""Where the canvas lies, and how seldom it moves."""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.preprocess import CropWindow
from talkcodec.types import Box, FaceObservation


def face(x: float, y: float, height: float) -> FaceObservation:
    """A face of ``height`` and 0.8 times that width about (x, y)."""
    grid = np.random.default_rng(1).uniform(-0.5, 0.5, (478, 3)).astype(np.float32)
    size, centre = (0.8 * height, height, height), (x, y, 0)
    landmarks = (grid * size + centre).astype(np.float32)
    box = Box(x - 0.4 * height, y - height / 2, x + 0.4 * height, y + height / 2)
    return FaceObservation(landmarks, 1.0, box)


def test_a_picture_framed_by_somebody_is_taken_whole() -> None:
    window = CropWindow()
    window.follow((480, 640, 3), face(330, 230, 160))
    assert window.bounds == (80, 0, 560, 480)


def test_a_small_face_gets_head_and_shoulders() -> None:
    window = CropWindow()
    window.follow((1080, 1920, 3), face(1200, 400, 168))
    left, top, right, bottom = window.bounds
    assert right - left == bottom - top == 400
    assert (left + right) / 2 == pytest.approx(1200, abs=1)
    assert 0.4 < (400 - top) / 400 < 0.5


@pytest.mark.parametrize(("x", "y"), [(40, 60), (1890, 60), (40, 1050), (1890, 1050)])
def test_it_stays_inside_the_picture(x: float, y: float) -> None:
    window = CropWindow()
    window.follow((1080, 1920, 3), face(x, y, 168))
    left, top, right, bottom = window.bounds
    assert left >= 0
    assert top >= 0
    assert right <= 1920
    assert bottom <= 1080


def test_an_off_centre_face_outside_the_centre_square_is_followed() -> None:
    window = CropWindow()
    window.follow((480, 640, 3), face(75, 240, 150))
    assert window.bounds[0] == 0


def test_talking_and_nodding_do_not_move_it() -> None:
    window = CropWindow()
    window.follow((1080, 1920, 3), face(900, 500, 168))
    before = window.bounds
    for step in range(200):
        moved = window.follow(
            (1080, 1920, 3),
            face(900 + 60 * np.sin(step / 9), 500 + 40 * np.cos(step / 7), 168 + 20 * (step % 2)),
        )
        assert not moved
    assert window.bounds == before


def test_it_moves_once_after_patience_when_the_face_has_gone() -> None:
    window = CropWindow(patience=12)
    shape = (1080, 1920, 3)
    window.follow(shape, face(900, 500, 168))
    moves = [window.follow(shape, face(1300, 500, 168)) for _ in range(50)]
    assert [index for index, moved in enumerate(moves) if moved] == [11]
    assert window.bounds[0] <= 1300 - 67
    assert window.bounds[2] >= 1300 + 67


def test_a_glance_out_of_the_window_is_forgiven() -> None:
    window = CropWindow(patience=12)
    shape = (1080, 1920, 3)
    window.follow(shape, face(900, 500, 168))
    for _ in range(5):
        assert not any(window.follow(shape, face(1300, 500, 168)) for _ in range(11))
        assert not window.follow(shape, face(900, 500, 168))


def test_it_does_not_move_where_moving_cannot_help() -> None:
    window = CropWindow(patience=2)
    shape = (256, 256, 3)
    window.follow(shape, face(128, 120, 120))
    assert not any(window.follow(shape, face(250, 120, 120)) for _ in range(10))


def test_a_face_taller_than_any_window_does_not_move_it() -> None:
    """A selfie in portrait format, of somebody who talks, nods and sways, for 10 s."""
    window = CropWindow()
    moves = 0
    for step in range(250):
        x, y = 90 + 8 * np.sin(step / 9), 150 + 10 * np.sin(step / 14) + 4 * np.sin(step / 3)
        moves += window.follow((320, 180, 3), face(x, y, 200 + 10 * np.sin(step / 25)))
    assert moves == 1  # it was placed


def test_a_face_half_out_of_the_picture_does_not_move_it() -> None:
    window = CropWindow()
    moves = [
        window.follow((256, 128, 3), face(120 + 4 * np.sin(step / 6), 128 + step / 20, 150))
        for step in range(100)
    ]
    assert moves.count(True) == 1


def test_a_large_face_that_leaves_is_followed_all_the_same() -> None:
    window = CropWindow()
    window.follow((640, 360, 3), face(180, 200, 380))
    before = window.bounds
    assert any(window.follow((640, 360, 3), face(180, 400, 380)) for _ in range(12))
    assert window.bounds[1] > before[1]


def test_whoever_walks_about_is_followed_more_slowly_until_they_settle() -> None:
    window = CropWindow(patience=12)
    shape = (1080, 1920, 3)
    window.follow(shape, face(300, 500, 168))

    def until_it_moves(x: float) -> int:
        return next(count for count in range(1, 99) if window.follow(shape, face(x, 500, 168)))

    assert [until_it_moves(x) for x in (900, 1500, 900, 300)] == [12, 24, 48, 48]
    for _ in range(250):
        window.follow(shape, face(300, 500, 168))
    assert until_it_moves(900) == 12


def test_another_picture_size_moves_it_at_once_even_if_it_was_cropped_first() -> None:
    window = CropWindow()
    window.follow((480, 640, 3), face(320, 230, 160))
    window.crop(np.zeros((240, 320, 3), np.uint8))
    assert window.follow((240, 320, 3), face(160, 115, 80))
    assert window.bounds == (40, 0, 280, 240)


def test_pictures_and_landmarks_agree() -> None:
    """A dot in the source is found in the canvas where ``to_canvas`` says, at both sizes."""
    picture = np.zeros((1080, 1920, 3), np.uint8)
    picture[440:448, 1000:1008] = 255
    dot = np.array([[1004.0, 444.0, 0.0]])
    for size in (256, 512):
        window = CropWindow(size)
        window.follow(picture.shape, face(1010, 420, 168))
        canvas = window.crop(picture)
        assert canvas.shape == (size, size, 3)
        light = canvas[:, :, 0].astype(float)
        y, x = np.mgrid[0:size, 0:size] + 0.5
        centre = np.array([(x * light).sum(), (y * light).sum()]) / light.sum() * 256 / size
        assert centre == pytest.approx(window.to_canvas(dot)[0, :2], abs=0.3)


@pytest.mark.parametrize("shape", [(10, 640, 3), (70_000, 640, 3)])
def test_pictures_of_absurd_size_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="expected a picture of 32 to 65535 pixels"):
        CropWindow().follow(shape, face(5, 5, 5))
