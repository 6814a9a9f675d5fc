# SPDX-License-Identifier: Apache-2.0
"""RTP time stamps that say which piece of a stream they belong to."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.rtc.marks import PERIOD, SOUND_STEP, MarkReader, stamp, video_step


def test_any_seven_marks_in_a_row_occur_once_a_period() -> None:
    bits = [stamp(number, 10) - 10 * number for number in range(2 * PERIOD)]
    assert set(bits) == {0, 1}
    windows = {tuple(bits[start : start + 7]) for start in range(PERIOD)}
    assert len(windows) == PERIOD


@given(
    first=st.integers(100, 10**6),
    guess=st.integers(-63, 63),
    gaps=st.lists(st.integers(1, 9), min_size=40, max_size=60),
    origin=st.integers(0, 2**32),
)
def test_numbers_are_right_after_a_while_however_much_is_lost(
    first: int, guess: int, gaps: list[int], origin: int
) -> None:
    reader = MarkReader(SOUND_STEP)
    number = first
    found = -1
    for gap in gaps:
        found = reader.number(stamp(number, SOUND_STEP) - origin, first + guess)
        expected, number = number, number + gap
    assert reader.certain
    assert found == expected


def test_a_right_guess_is_right_from_the_first() -> None:
    reader = MarkReader(SOUND_STEP)
    assert [reader.number(stamp(n, SOUND_STEP) - 5, 1000) for n in range(1000, 1005)] == list(
        range(1000, 1005)
    )


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20))
def test_strange_time_stamps_give_some_number(stamps: list[int]) -> None:
    reader = MarkReader(SOUND_STEP)
    assert all(isinstance(reader.number(pts, 0), int) for pts in stamps)


@pytest.mark.parametrize(("rate", "step"), [(25, 3600), (Fraction(24000, 1001), 3754), (1000, 90)])
def test_a_tick_of_video(rate: Fraction | int, step: int) -> None:
    assert video_step(Fraction(rate)) == step
