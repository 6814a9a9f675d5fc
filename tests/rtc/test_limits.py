# SPDX-License-Identifier: Apache-2.0
"""Token buckets on a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.rtc.limits import Buckets, Rate, TokenBucket


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(Rate(per_second=2.0, burst=5))
    assert sum(bucket.take(0.0) for _ in range(20)) == 5
    assert sum(bucket.take(1.0) for _ in range(20)) == 2
    assert sum(bucket.take(100.0) for _ in range(20)) == 5
    assert bucket.refused == 48


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), max_size=60), st.floats(0.1, 20), st.integers(1, 10))
def test_no_pattern_gets_more_than_burst_and_rate(
    steps: list[float], rate: float, burst: int
) -> None:
    bucket, now, granted = TokenBucket(Rate(rate, burst)), 0.0, 0
    for step in steps:
        now += step
        granted += bucket.take(now)
    assert granted <= burst + rate * now + 1e-6


def test_time_that_goes_back_earns_nothing() -> None:
    bucket = TokenBucket(Rate(1.0, 1))
    assert bucket.take(10.0)
    assert not bucket.take(0.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)


def test_names_do_not_share_and_are_forgotten() -> None:
    buckets = Buckets(Rate(1.0, 2), most=3)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.allows("b", 0.0)
    assert not buckets.allows("a", 0.0)
    for name in "bcdefgh":
        buckets.take(name, 0.0)
        assert len(buckets) <= 3
    buckets.take("i", 60.0)
    assert len(buckets) <= 2  # full ones need no memory


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 5), (-1.0, 5), (1.0, 0)])
def test_a_rate_that_allows_nothing_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="expected a rate above 0"):
        Rate(rate, burst)
