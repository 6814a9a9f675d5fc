# SPDX-License-Identifier: Apache-2.0
"""Rates at equal score, their means, and BD-rate, against cases worked out by hand."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.bench.matched import MatchedRate, bd_rate, geometric_mean, matched_rate

LADDER = [(10.0, 0.4), (20.0, 0.2), (80.0, 0.1)]


def inside(target: float) -> float:
    """Rate for a score that must lie inside the ladder."""
    found = matched_rate(LADDER, target)
    assert found.relation == "="
    return found.kbps


def test_between_points_the_score_is_linear_in_log_rate() -> None:
    # Half way from .4 to .2 is half way from 10 to 20 in logarithm: √200.
    assert inside(0.3) == pytest.approx(200**0.5)
    assert inside(0.15) == pytest.approx(40)


def test_on_a_point_it_is_that_rate() -> None:
    for rate, score in LADDER:
        assert inside(score) == pytest.approx(rate)


def test_outside_the_ladder_its_end_is_a_bound() -> None:
    assert matched_rate(LADDER, 0.5) == MatchedRate(10, "≤")
    assert matched_rate(LADDER, 0.05) == MatchedRate(80, "≥")


def test_higher_can_be_better() -> None:
    psnr = [(10.0, 30.0), (40.0, 36.0)]
    assert matched_rate(psnr, 33, lower_is_better=False).kbps == pytest.approx(20)
    assert matched_rate(psnr, 29, lower_is_better=False).relation == "≤"
    assert matched_rate(psnr, 37, lower_is_better=False).relation == "≥"


def test_a_dent_in_the_curve_counts_from_its_first_crossing() -> None:
    dented = [(10.0, 0.4), (20.0, 0.1), (40.0, 0.2), (80.0, 0.05)]
    assert matched_rate(dented, 0.25).kbps == pytest.approx(200**0.5)
    with pytest.raises(ValueError, match="at least one ladder point"):
        matched_rate([], 0.1)


@given(st.floats(0.05, 0.45))
def test_the_rate_never_leaves_the_ladder_and_grows_with_quality(target: float) -> None:
    found = matched_rate(LADDER, target)
    assert 10 <= found.kbps <= 80
    assert matched_rate(LADDER, target - 0.01).kbps >= found.kbps


def test_geometric_means_say_when_they_are_bounds() -> None:
    exact = [MatchedRate(2, "="), MatchedRate(8, "=")]
    assert geometric_mean(exact).value == pytest.approx(4)
    assert geometric_mean(exact).relation == "="
    low = geometric_mean([*exact, MatchedRate(4, "≤")])
    assert (low.relation, low.at_most, low.count) == ("≤", 1, 3)
    assert geometric_mean([*exact, MatchedRate(4, "≥")]).relation == "≥"
    assert geometric_mean([MatchedRate(1, "≥"), MatchedRate(1, "≤")]).relation == "≈"


def test_bd_rate_of_a_curve_at_half_the_rate_is_minus_fifty() -> None:
    half = [(rate / 2, score) for rate, score in LADDER]
    assert bd_rate(LADDER, half) == pytest.approx(-50)
    assert bd_rate(half, LADDER) == pytest.approx(100)
    assert bd_rate(LADDER, LADDER) == pytest.approx(0)


def test_bd_rate_by_hand_on_straight_lines() -> None:
    # In log rate over quality: anchor from log 10 to log 40, test from log 10 to log 20. The mean
    # difference is (log 20 - log 40) / 2, a factor of √½.
    anchor, test = [(10.0, 0.4), (40.0, 0.2)], [(10.0, 0.4), (20.0, 0.2)]
    expected = (exp((log(20) - log(40)) / 2) - 1) * 100
    assert bd_rate(anchor, test) == pytest.approx(expected)
    assert expected == pytest.approx(-29.289, abs=1e-3)


def test_bd_rate_counts_only_where_scores_overlap() -> None:
    # From .4 to .2 the anchor's rate doubles; the test curve ends at .3, after half of that.
    anchor, test = [(10.0, 0.4), (20.0, 0.2)], [(10.0, 0.4), (20.0, 0.3)]
    # Mean over quality -.4 to -.3 of log 2 · (t - t / 2), t from 0 to 1: log 2 / 4.
    assert bd_rate(anchor, test) == pytest.approx((2**0.25 - 1) * 100)


def test_bd_rate_needs_overlap_and_two_points() -> None:
    assert bd_rate(LADDER, [(10.0, 0.3)]) is None
    assert bd_rate(LADDER, [(10.0, 0.09), (20.0, 0.01)]) is None
    # More rate for a worse score is no operating point anybody would use.
    assert bd_rate(LADDER, [(10.0, 0.3), (20.0, 0.35)]) is None


def test_bd_rate_of_a_higher_is_better_score() -> None:
    anchor = [(10.0, 30.0), (20.0, 33.0), (40.0, 36.0)]
    half = [(rate / 2, score) for rate, score in anchor]
    assert bd_rate(anchor, half, lower_is_better=False) == pytest.approx(-50)
