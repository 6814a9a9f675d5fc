# SPDX-License-Identifier: Apache-2.0
"""Which packets sound goes in, on times and estimates that the test chooses."""

from __future__ import annotations

import pytest

from talkcodec.rtc import study
from talkcodec.rtc.marks import SOUND_STEP, MarkReader, stamp
from talkcodec.rtc.soundrate import SoundRate, SoundRateConfig, sound_plans

USUAL = SoundRateConfig()


def looks(rate: SoundRate, estimate: float, begin: float, seconds: int) -> float | None:
    """Return when the plan changes, if it does."""
    before = rate.plan
    for tick in range(10 * seconds):
        if rate.look(estimate, begin + tick / 10) != before:
            return begin + tick / 10
    return None


def test_sound_and_motion_fit_into_forty_kilobits() -> None:
    assert USUAL.wide.wire == pytest.approx(48_800)
    # 9.3 of motion in groups of three frames, and a third of 5 for references.
    assert USUAL.narrow.wire + 9_300 + 5_000 < 0.95 * 40_000


def test_a_narrow_path_changes_the_plan_at_once_and_a_wide_one_after_a_while() -> None:
    rate = SoundRate()
    assert looks(rate, 100_000.0, 0.0, 60) is None
    assert looks(rate, 44_000.0, 60.0, 1) == 60.0
    assert rate.plan == USUAL.narrow
    assert looks(rate, 50_000.0, 61.0, 60) is None  # neither
    assert looks(rate, 56_000.0, 121.0, 60) == pytest.approx(121 + USUAL.patience, abs=0.2)
    assert rate.plan == USUAL.wide


def test_a_full_path_is_not_given_more() -> None:
    rate = SoundRate()
    rate.look(30_000.0, 0.0)
    for tick in range(300):
        assert rate.look(90_000.0, tick / 10, full=True) == USUAL.narrow


def test_what_was_too_much_is_tried_less_and_less_often() -> None:
    rate, now, waits = SoundRate(), 0.0, []
    rate.look(30_000.0, now)
    for _ in range(7):
        widened = looks(rate, 60_000.0, now, 200)
        assert widened is not None
        waits.append(widened - now)
        now = widened + 2.0
        rate.look(30_000.0, now)
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(5.0, abs=0.2)
    assert waits[-1] == pytest.approx(80.0, abs=0.2)


def test_nobody_who_asked_for_less_gets_more_on_a_narrow_path() -> None:
    assert sound_plans(8_000).narrow.rate == 8_000
    assert sound_plans(24_000).wide.rate == 24_000
    assert sound_plans(24_000).narrow == USUAL.narrow


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("first", [0, 5, 1000])
def test_stamps_tell_numbers_of_packets_of_every_length(blocks: int, first: int) -> None:
    reader = MarkReader(SOUND_STEP)
    numbers = range(first, first + 30 * blocks, blocks)
    found = [reader.number(stamp(number, SOUND_STEP), first + 20) for number in numbers]
    assert reader.certain
    assert found[15:] == list(numbers)[15:]


def test_beside_sound_motion_goes_on_at_forty_kilobits() -> None:
    row = study.sound()
    assert row["met"]
    before, after = row["as_on_a_wide_path"], row["by_the_path"]
    assert before["longest_ms"] > 1000  # that is what it is for
    assert after["longest_ms"] < 150
    assert after["wire_kbps_forward"] < 38
    assert after["datagrams_lost_in_the_queue"] < before["datagrams_lost_in_the_queue"] / 50
