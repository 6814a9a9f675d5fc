# SPDX-License-Identifier: Apache-2.0
"""How much ordinary video gets, on budgets and a clock that the test chooses."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkcodec.rtc.rate import RateConfig, RateController
from talkcodec.rtc.videorate import RUNGS, VideoRate, VideoRateConfig, best_plan, wire_rate
from talkcodec.rtc.videostudy import made
from talkcodec.types import StreamSettings
from tests.sender.moving import portrait

LIMIT = 100_000.0
CONFIG = VideoRateConfig()


def test_less_means_fewer_pictures_first_and_smaller_ones_then() -> None:
    plans = [best_plan(budget, LIMIT, 25.0) for budget in (5e5, 6e4, 4e4, 3e4, 2e4, 1e4)]
    assert [(plan.divisor, plan.side) for plan in plans] == [
        (1, 256),
        (2, 256),
        (3, 256),
        (3, 192),
        (3, 128),
        (3, 96),
    ]
    assert all(after.rate < before.rate for before, after in pairwise(plans))


@given(st.floats(0, 1e6), st.floats(10_000, 1e6), st.sampled_from([15.0, 24.0, 25.0, 30.0, 60.0]))
def test_a_plan_fits_into_its_budget_headers_included(
    budget: float, limit: float, fps: float
) -> None:
    plan = best_plan(budget, limit, fps)
    assert plan.rate <= limit
    assert fps / plan.divisor >= 5 or fps < 5
    fits = wire_rate(plan, fps) <= budget + 1
    assert fits or (plan.rate, plan.side) == (CONFIG.floor, RUNGS[-1].side)


def test_a_caller_may_ask_for_less_and_for_more() -> None:
    assert best_plan(1e6, 20_000, 25.0).rate == 20_000
    assert best_plan(1e6, 300_000, 25.0).side == 512


def test_less_comes_at_once_and_more_later() -> None:
    video = VideoRate(25.0)
    video.begin(60_000, LIMIT, 0.0)
    before = video.plan
    assert video.follow(58_000, LIMIT, 0.1) == before  # not worth a key picture
    less = video.follow(30_000, LIMIT, 0.2)
    assert less.rate < 26_000
    assert video.follow(90_000, LIMIT, 1.0) == less
    more = video.follow(90_000, LIMIT, 0.2 + CONFIG.patience)
    assert more.rate > before.rate


def test_what_was_too_much_is_not_tried_again_so_soon() -> None:
    video = VideoRate(25.0)
    now, climbs = 0.0, []
    video.begin(30_000, LIMIT, now)
    while now < 60:
        now += 0.1
        rate = video.plan.rate
        # A path that never carries more than that, and looks well meanwhile.
        budget = 60_000 if rate < 40_000 else 30_000
        if video.follow(budget, LIMIT, now).rate > rate:
            climbs.append(now)
    waits = [after - before for before, after in pairwise(climbs)]
    assert waits[-1] > 2 * waits[0]
    assert waits[-1] >= CONFIG.patience_most


def test_a_lower_limit_holds_at_once() -> None:
    video = VideoRate(25.0)
    video.begin(1e6, LIMIT, 0.0)
    assert video.follow(1e6, 95_000, 0.1).rate == 95_000


def test_sound_and_references_come_first() -> None:
    control = RateController(StreamSettings(3), config=RateConfig(both=60_000))
    free = control.spare(0.0)
    assert free < 60_000 * control.config.share
    assert control.spare(20_000) == free - 20_000
    before = control.pace
    control.beside = 20_000
    assert control.pace == before - 20_000 / 2


@pytest.mark.parametrize("estimate", [20_000.0, 30_000.0, 40_000.0, 80_000.0])
def test_what_the_encoder_makes_of_a_moving_face_stays_below_the_estimate(estimate: float) -> None:
    control = RateController(StreamSettings(3))
    control.estimate = estimate
    plan = best_plan(control.spare(0.0), LIMIT, 25.0)
    row = made(portrait(6.0), 25.0, plan)
    assert row["payload"] < estimate / 1000
    assert row["wire"] < estimate / 1000
    # All of it would be an encoder that makes nothing.
    assert row["wire"] > 0.4 * estimate / 1000
