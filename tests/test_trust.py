# SPDX-License-Identifier: Apache-2.0
"""Each signal of failure, on pictures made for it."""

from __future__ import annotations

from math import isnan

import cv2
import numpy as np
import pytest

from talkcodec import weights
from talkcodec.analysis import Choice
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.modes import ModePolicy
from talkcodec.motion.landmarks import LIPS, OVAL
from talkcodec.reference.bank import BankedReference
from talkcodec.trust import (
    MEMORY,
    SIDE,
    UNSEEN,
    Evidence,
    Witness,
    thumbnail,
    unexplained,
    worst_spot,
)
from talkcodec.types import F64, U8, Box

PORTRAIT = portrait_picture()
FACE: F64 = Track.load().portrait
STILL = np.zeros((128, 128, 2), np.float32)


def drawn_from(*pictures: U8, turn: float = 0.0) -> Choice:
    """A choice that draws the references ``pictures`` as they are."""
    state = (0,) * weights.shape_model().dimension
    held = [
        BankedReference(number, 0, picture, state, FACE.astype(np.float32))
        for number, picture in enumerate(pictures)
    ]
    return Choice(held[0], None, 0.0, tuple((one, STILL) for one in held), None, turn)


def look(picture: U8, choice: Choice | None = None, *others: Box) -> Evidence:
    witness = Witness()
    witness.look(0.0, PORTRAIT, FACE, choice=drawn_from(PORTRAIT))
    return witness.look(0.12, picture, FACE, others=others, choice=choice or drawn_from(PORTRAIT))


def with_spot(picture: U8, x: float, y: float, radius: int, colour: tuple[int, int, int]) -> U8:
    out = picture.copy()
    cv2.circle(out, (round(x), round(y)), radius, colour, -1, cv2.LINE_AA)
    return out


def nose() -> tuple[float, float]:
    return float(FACE[1, 0]), float(FACE[1, 1])


def test_what_is_drawn_exactly_raises_nothing() -> None:
    seen = look(PORTRAIT)
    assert (seen.face, seen.rest, seen.whole, seen.away, seen.rival) == (0, 0, 0, 0, 0)
    assert seen.light == pytest.approx(1)
    assert seen.detail == pytest.approx(1)


def test_noise_and_a_shift_by_a_pixel_are_explained() -> None:
    noise = np.random.default_rng(0).normal(0, 4, PORTRAIT.shape)
    shifted = np.roll(PORTRAIT, (3, -3), (0, 1))
    seen = look(np.clip(shifted + noise, 0, 255).astype(np.uint8))
    assert seen.face < 1
    assert seen.whole < 0.5


def test_another_exposure_is_explained() -> None:
    assert look((PORTRAIT * 0.88).astype(np.uint8)).face < 1.5


@pytest.mark.parametrize("colour", [(20, 20, 20), (60, 180, 60), (205, 150, 130)])
def test_a_thing_before_the_face_is_a_spot_in_it(colour: tuple[int, int, int]) -> None:
    seen = look(with_spot(PORTRAIT, *nose(), 26, colour))
    assert seen.face > 12
    assert seen.face > 2 * seen.whole
    assert seen.rest < 3


def test_a_thing_that_a_reference_shows_is_explained() -> None:
    covered = with_spot(PORTRAIT, *nose(), 26, (60, 180, 60))
    assert look(covered, drawn_from(PORTRAIT, covered)).face < 1


def test_a_mouth_that_no_reference_shows_open_weighs_less_than_a_thing_of_its_size() -> None:
    x, y = FACE[list(LIPS), :2].mean(0)
    mouth = look(with_spot(PORTRAIT, x, y, 9, (40, 20, 20)))
    cheek = look(with_spot(PORTRAIT, FACE[50, 0], FACE[50, 1], 9, (40, 20, 20)))
    assert mouth.face < 0.6 * cheek.face


def test_a_thing_beside_the_face_is_told_apart_from_one_in_it() -> None:
    seen = look(with_spot(PORTRAIT, 30, 60, 24, (20, 160, 30)))
    assert seen.rest > 25
    assert seen.face < 1


def test_what_is_usual_beside_the_face_is_no_evidence() -> None:
    witness, picture = Witness(), with_spot(PORTRAIT, 30, 60, 24, (20, 160, 30))
    for index in range(60):
        seen = witness.look(index * 0.12, picture, FACE, choice=drawn_from(PORTRAIT))
        assert abs(seen.rest) < 1


def test_another_face_in_the_same_place_is_unexplained_all_over() -> None:
    stranger = cv2.flip(cv2.resize(PORTRAIT, (256, 300))[20:276], 1)
    seen = look(np.asarray(255 - stranger, np.uint8))
    assert seen.whole > 8


def test_a_rival_counts_by_its_height_and_only_in_view() -> None:
    height = float(np.ptp(FACE[:, 1]))
    beside = Box(5, 40, 60, 40 + 0.8 * height)
    outside = Box(-200, 40, -5, 40 + 2 * height)
    assert look(PORTRAIT, None, beside).rival == pytest.approx(0.8)
    assert look(PORTRAIT, None, outside).rival == 0
    assert look(PORTRAIT, None, outside, beside).rival == pytest.approx(0.8)


def test_a_covered_lens_takes_light_or_contrast() -> None:
    dark = look((PORTRAIT * 0.1).astype(np.uint8))
    assert dark.light < 0.2
    assert dark.detail < 0.2
    finger = np.full_like(PORTRAIT, PORTRAIT.mean().astype(np.uint8))
    glowing = look(finger)
    assert glowing.light > 0.9
    assert glowing.detail < 0.1


def test_another_light_becomes_the_usual_one() -> None:
    witness, dim = Witness(), (PORTRAIT * 0.4).astype(np.uint8)
    witness.look(0.0, PORTRAIT, FACE)
    begin = witness.look(0.1, dim, FACE)
    for index in range(2, int(30 * MEMORY)):
        end = witness.look(index * 0.1, dim, FACE)
    assert begin.light < 0.45
    assert end.light > 0.9


def test_nobody_there_counts_from_about_the_last_face() -> None:
    witness = Witness()
    assert witness.absent(1.0, PORTRAIT).away == 0
    assert witness.absent(1.2, PORTRAIT).away == pytest.approx(0.2)
    assert witness.look(2.0, PORTRAIT, FACE).away == 0
    gone = witness.absent(2.04, PORTRAIT)
    assert gone.away == pytest.approx(0.04)
    assert gone.sure == 0
    assert witness.absent(2.34, PORTRAIT).away == pytest.approx(0.34)
    witness.look(2.4, PORTRAIT, FACE)
    # Of the time between two frames of a slow source it may have been there for most.
    assert witness.absent(3.4, PORTRAIT).away == pytest.approx(UNSEEN)
    assert witness.absent(3.6, PORTRAIT).away == pytest.approx(0.2 + UNSEEN)


def test_one_frame_without_a_face_of_a_slow_source_changes_no_mode() -> None:
    witness, policy = Witness(), ModePolicy()
    for number in range(20):
        time = number / 3
        found = number not in {6, 13}
        seen = witness.look(time, PORTRAIT, FACE) if found else witness.absent(time, PORTRAIT)
        assert policy.observe(seen) == "motion"
    for number in range(20, 22):
        policy.observe(witness.absent(number / 3, PORTRAIT))
    assert policy.mode == "video"


def test_a_face_that_leaves_a_fast_source_is_noticed_within_a_quarter_of_a_second() -> None:
    witness, policy = Witness(), ModePolicy()
    for number in range(9):
        policy.observe(witness.look(0.12 * number, PORTRAIT, FACE))
    gone = 0.96
    for number in range(1, 7):
        policy.observe(witness.absent(gone + 0.04 * number, PORTRAIT))
    assert policy.mode == "video"


def test_a_hand_that_hides_the_face_altogether_is_still_there() -> None:
    witness, choice = Witness(), drawn_from(PORTRAIT)
    hidden = with_spot(PORTRAIT, *nose(), 40, (60, 180, 60))
    seen = witness.look(0.0, hidden, FACE, choice=choice)
    assert witness.absent(0.04, hidden).face == seen.face
    witness.forget()
    assert isnan(witness.absent(0.08, hidden).face)


def test_before_anything_was_sent_there_is_nothing_to_compare_with() -> None:
    seen = Witness().look(0.0, PORTRAIT, FACE)
    assert all(isnan(v) for v in (seen.face, seen.rest, seen.whole, seen.turn))


def test_the_turn_is_that_of_the_choice() -> None:
    assert look(PORTRAIT, drawn_from(PORTRAIT, turn=0.3)).turn == 0.3


def test_a_face_out_of_the_picture_gives_finite_evidence() -> None:
    for shift in (-5000.0, 300.0, 1e7):
        seen = Witness().look(0.0, PORTRAIT, FACE + shift, choice=drawn_from(PORTRAIT))
        assert np.isfinite([seen.face, seen.rest, seen.whole]).all()


def test_unexplained_is_symmetric_in_what_is_missing() -> None:
    thumb = thumbnail(PORTRAIT)
    lost = thumbnail(with_spot(PORTRAIT, FACE[468, 0], FACE[468, 1], 8, (205, 150, 130)))
    assert unexplained(thumb, lost).max() > 10
    assert unexplained(lost, thumb).max() > 10


def test_the_worst_spot_is_a_mean_over_its_size() -> None:
    beyond = np.zeros((SIDE, SIDE), np.float32)
    beyond[20:23, 20:23] = 90
    everywhere = np.ones((SIDE, SIDE), bool)
    assert worst_spot(beyond, everywhere, 3) == pytest.approx(90)
    assert worst_spot(beyond, everywhere, 9) == pytest.approx(10)
    assert worst_spot(beyond, ~everywhere, 9) == 0


def test_the_oval_is_where_the_face_is() -> None:
    x, y = FACE[list(OVAL), :2].mean(0)
    assert look(with_spot(PORTRAIT, x, y, 12, (0, 255, 0))).face > 5
