# SPDX-License-Identifier: Apache-2.0
"""A wall stays where it is when a head moves before it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcodec.media.sources import Track, portrait_picture
from talkcodec.render.geometric import ReferenceView, warp
from talkcodec.render.layer import MODES, PERSON, stays
from talkcodec.render.matte import Matte, behind, over
from talkcodec.render.measure import torn
from talkcodec.render.mend import harm
from talkcodec.types import F32, F64, U8

SIDE = 128


def person(x: float = 64) -> F32:
    """Return a matte of a disk of radius 20 in the middle of row 64, at column ``x``."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (round(x), 64), 20, 1, -1)
    return mask.astype(np.float32)


def even(x: float, y: float = 0.0) -> F32:
    """Return a flow by (``x``, ``y``) cells everywhere, in canvas units."""
    return np.full((SIDE, SIDE, 2), (2 * x, 2 * y), np.float32)


def wall() -> U8:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (256, 256, 3), dtype=np.uint8)


def reference(picture: U8, matte: F32 | None) -> ReferenceView:
    nothing: F64 = np.zeros((478, 3))
    return ReferenceView(picture, nothing[:, 0], nothing, nothing, matte)


def test_what_is_behind_is_drawn_where_neither_person_stands() -> None:
    found = behind(person(), even(-30))  # the person has moved right by 30 cells
    assert found[64, 64] == 0  # stood here: what was behind is not known
    assert found[64, 94] == 0  # stands here now
    assert found[64, 20] == found[10, 94] == 1
    np.testing.assert_array_equal(behind(np.zeros_like(person()), even(5)), 1)


def test_a_wall_does_not_move_with_the_head_before_it() -> None:
    picture, matte, field = wall(), person(), even(-10)
    view = reference(picture, matte)
    there = behind(matte, field)
    drawn = warp(view, field, there)
    still = cv2.resize(there, (256, 256)) == 1
    assert still.mean() > 0.5
    np.testing.assert_array_equal(drawn[still], picture[still])
    moved = warp(view, field, None)
    gone = cv2.resize(there, (256, 256)) == 0
    np.testing.assert_array_equal(drawn[gone], moved[gone])
    assert (moved != picture).mean() > 0.9


def test_a_layer_of_all_says_that_the_camera_moves() -> None:
    values = np.zeros(8, np.float32)
    assert stays(())
    assert stays([(PERSON, values)])
    assert stays([(PERSON, values), (3, values)])  # newest first
    for mode in MODES:
        assert mode in {0, PERSON} or not stays([(mode, values)])


def test_a_share_is_laid_over() -> None:
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 200, np.uint8)
    found = over(black, white, np.full((16, 16), 0.25, np.float32))
    np.testing.assert_array_equal(found, 50)
    luma = over(black[..., 0], white[..., 0], np.ones((16, 16), np.float32))
    np.testing.assert_array_equal(luma, 200)


def test_what_is_behind_is_neither_torn_nor_mended() -> None:
    folds = even(0)
    folds[:, 40:60, 0] = -4 * np.arange(20)  # every second cell twice over
    nowhere = np.zeros((SIDE, SIDE), np.bool_)
    assert torn(folds).any()
    assert harm(folds, nowhere) is not None
    everywhere = np.ones((SIDE, SIDE), np.float32)
    assert not torn(folds, everywhere).any()
    assert harm(folds, nowhere, everywhere) is None


@pytest.mark.parametrize("size", [256, 512])
def test_the_network_that_ships_finds_the_face(size: int) -> None:
    matte = Matte("onnxruntime", "f32")
    found = matte(portrait_picture(size), SIDE)
    matte.close()
    assert found.shape == (SIDE, SIDE)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    marks = (Track.load().portrait[:, :2] / 2).astype(int)
    assert found[marks[:, 1], marks[:, 0]].min() > 0.9
    assert found.mean() < 0.95
