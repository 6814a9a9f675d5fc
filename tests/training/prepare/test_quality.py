# SPDX-License-Identifier: Apache-2.0
"""The filter's figures on pictures made to be good or bad."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from talkcodec.media.sources import portrait_picture
from talkcodec.types import F32, LANDMARKS, U8, Box
from training.prepare.quality import (
    JUMP,
    LEAST_DETAIL,
    MOST_COMBING,
    Figures,
    Reason,
    combing,
    detail,
    jump_share,
    median,
)

FACE = Box(75, 55, 180, 190)
GOOD = Figures(seconds=3, face=140, found=1, detail=0.6, combing=0.5, jumps=0)


def grey_portrait() -> U8:
    return np.asarray(cv2.cvtColor(portrait_picture(), cv2.COLOR_RGB2GRAY), np.uint8)


def test_blur_shows() -> None:
    sharp = grey_portrait()
    blurred = [np.asarray(cv2.GaussianBlur(sharp, (0, 0), s), np.uint8) for s in (1, 2, 4)]
    values = [detail(picture, FACE) for picture in (sharp, *blurred)]
    assert values == sorted(values, reverse=True)
    assert values[0] > LEAST_DETAIL > values[2]


def test_enlarging_a_small_picture_shows_as_blur() -> None:
    small = cv2.resize(grey_portrait(), (64, 64), interpolation=cv2.INTER_AREA)
    large = np.asarray(cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert detail(large, FACE) < LEAST_DETAIL


def test_light_and_contrast_do_not_matter_to_detail() -> None:
    sharp = grey_portrait()
    dim = np.asarray(cv2.convertScaleAbs(sharp, alpha=0.6, beta=30), np.uint8)
    assert detail(dim, FACE) == pytest.approx(detail(sharp, FACE), rel=0.1)


def test_detail_of_a_face_outside_is_unknown() -> None:
    assert np.isnan(detail(grey_portrait(), Box(300, 10, 380, 90)))
    assert np.isnan(detail(grey_portrait(), Box(-100, -100, 4, 4)))


def woven(one: U8, other: U8) -> U8:
    """Two fields in one picture."""
    out = one.copy()
    out[1::2] = other[1::2]
    return out


@pytest.mark.parametrize("step", [3, 6, 10])
def test_two_fields_in_a_picture_show_where_it_moves(step: int) -> None:
    times = [np.ascontiguousarray(np.roll(grey_portrait(), step * t, axis=1)) for t in range(4)]
    assert combing(times[2], times[0]) < MOST_COMBING
    assert combing(woven(times[2], times[3]), woven(times[0], times[1])) > MOST_COMBING


def test_a_still_picture_tells_nothing_of_fields() -> None:
    assert np.isnan(combing(grey_portrait(), grey_portrait()))


def track(count: int = 40) -> F32:
    rng = np.random.default_rng(0)
    shape = rng.normal(128, 30, (LANDMARKS, 3))
    drift = np.linspace(0, 20, count)[:, None, None]
    return np.asarray(shape + drift, np.float32)


def test_steady_and_fast_movements_are_no_jumps() -> None:
    seconds = [i / 25 for i in range(40)]
    assert jump_share(track(), np.ones(40, np.bool_), seconds) == 0


def test_a_landmark_jump_is_seen_once_there_and_back() -> None:
    marks = track()
    marks[20] += 60 * (1 + JUMP)
    share = jump_share(marks, np.ones(40, np.bool_), [i / 25 for i in range(40)])
    assert share == pytest.approx(3 / 38)


def test_a_slow_camera_may_see_larger_ways() -> None:
    marks = track()
    marks[::2] += 9
    found = np.ones(40, np.bool_)
    fast = jump_share(marks, found, [i / 25 for i in range(40)])
    slow = jump_share(marks, found, [i / 5 for i in range(40)])
    assert slow <= fast


def test_where_no_face_was_found_nothing_jumps() -> None:
    marks, found = track(), np.ones(40, np.bool_)
    marks[20], found[20] = 0, False
    assert jump_share(marks, found, [i / 25 for i in range(40)]) == 0
    assert jump_share(marks, np.zeros(40, np.bool_), [0.0] * 40) == 0


def test_a_good_passage_is_kept() -> None:
    assert GOOD.verdict(1.0) is None


@pytest.mark.parametrize(
    ("bad", "reason", "told"),
    [
        ({"seconds": 0.5}, "short", "0.50 s"),
        ({"face": 40.0}, "tiny face", "40 px"),
        ({"found": 0.5}, "lost face", "found in 50.0%"),
        ({"combing": 1.5}, "interlace", "combing 1.50"),
        ({"detail": 0.1}, "blur", "detail 0.10"),
        ({"jumps": 0.1}, "jumps", "in 10.0% of the frames"),
    ],
)
def test_each_fault_is_named(bad: dict[str, float], reason: Reason, told: str) -> None:
    assert replace(GOOD, **bad).verdict(1.0) == (reason, told)


def test_the_median_knows_what_is_unknown() -> None:
    assert median([1, float("nan"), 3, 2]) == 2
    assert median([float("nan")]) == 0
    assert median([]) == 0
