# SPDX-License-Identifier: Apache-2.0
"""References are bought with tokens, when the gain lasts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from talkcodec.reference.policy import RefreshConfig, RefreshPolicy

CONFIG = RefreshConfig(rate=1000, burst=20_000, threshold=0.02, urgent=0.1, patience=0.1)
COST = 8000.0


def test_a_small_gain_is_never_worth_a_reference() -> None:
    policy = RefreshPolicy(CONFIG)
    assert not any(policy.decide(t / 10, 0.019) for t in range(100))


def test_a_gain_must_last() -> None:
    policy = RefreshPolicy(CONFIG)
    assert not policy.decide(0.0, 0.2)
    assert not policy.decide(0.04, 0.0)
    assert not policy.decide(0.08, 0.2)
    assert policy.decide(0.2, 0.2)


def test_the_price_rises_when_tokens_are_spent_and_falls_with_time() -> None:
    policy = RefreshPolicy(CONFIG)
    policy.decide(0.0, 0.05)
    assert policy.decide(0.2, 0.05)
    policy.spent(18_000)
    policy.decide(0.3, 0.05)
    assert not policy.decide(0.5, 0.05)
    policy.decide(12.0, 0.05)
    assert policy.decide(12.5, 0.05)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-1, 1)), max_size=200))
def test_spending_never_outruns_the_rate(steps: list[tuple[float, float]]) -> None:
    policy = RefreshPolicy(CONFIG)
    time = spent = 0.0
    for pause, gain in steps:
        time += pause
        if policy.decide(time, gain):
            policy.spent(COST)
            spent += COST
    assert spent <= CONFIG.burst + CONFIG.rate * time + COST


def test_in_a_hurry_references_come_at_once_and_from_a_purse_of_their_own() -> None:
    policy = RefreshPolicy(RefreshConfig(hurry_rate=0.0, hurry_burst=2 * COST))
    tokens = policy.tokens
    for time in (0.0, 0.04):
        assert policy.decide(time, 0.2, hurry=True)
        policy.spent(COST)
    assert policy.tokens == tokens
    assert not policy.decide(0.08, 0.2, hurry=True)  # that purse is empty; the other has patience
    assert not RefreshPolicy(CONFIG).decide(0.0, 0.01, hurry=True)


def test_a_picture_that_stays_torn_is_in_doubt() -> None:
    policy = RefreshPolicy(RefreshConfig(torn=0.01, torn_patience=0.4))
    policy.begin(0.0)
    assert not any(policy.decide(t / 10, 0.2, torn=0.01) for t in range(10))
    assert not any(policy.decide(t / 10, 0.2, torn=0.2) for t in range(10, 14))
    assert not policy.decide(1.4, 0.2, torn=0.0)  # a moment is let pass
    assert not any(policy.decide(t / 10, 0.2, torn=0.2) for t in range(15, 19))
    assert policy.decide(2.0, 0.2, torn=0.2)
    policy = RefreshPolicy(RefreshConfig(torn=0.01, torn_patience=0.4))
    # A fresh one would be no better.
    assert not any(policy.decide(t / 10, 0.01, torn=0.5) for t in range(10))


def test_gain_alone_buys_nothing_while_the_first_reference_is_new() -> None:
    policy = RefreshPolicy(replace(CONFIG, settle=2.0, unusual=1.0))
    policy.begin(1.0)
    assert not any(policy.decide(1 + t / 10, 0.5) for t in range(20))
    assert policy.decide(2.9, 0.2, hurry=True)  # nor does it hold up what is in doubt
    assert [policy.decide(3.0 + t / 10, 0.5) for t in range(3)] == [False, True, True]


def test_a_moment_worse_than_usual_buys_and_after_a_while_any_does() -> None:
    config = replace(CONFIG, settle=1.0, unusual=1.5, memory=3.0, wait=10.0)
    policy = RefreshPolicy(config)
    policy.begin(0.0)
    assert not any(policy.decide(t / 10, 0.2) for t in range(40))
    assert [policy.decide(4 + t / 5, 0.4) for t in range(2)] == [False, True]
    policy = RefreshPolicy(config)
    policy.begin(0.0)
    bought = [t / 10 for t in range(120) if policy.decide(t / 10, 0.2)]
    assert bought
    assert 9.5 < bought[0] < 10.5


def test_a_face_that_is_suddenly_lost_need_not_wait_for_an_empty_bucket_to_fill() -> None:
    config = replace(CONFIG, settle=0.0, lost=0.3, sudden=1.8, lost_patience=0.2)

    def broke() -> RefreshPolicy:
        policy = RefreshPolicy(config)
        policy.begin(0.0)
        policy.spent(10 * COST)
        assert not any(policy.decide(t / 10, 0.15) for t in range(40))
        return policy

    policy = broke()
    assert [policy.decide(4 + t / 10, 0.4) for t in range(4)] == [False, False, True, True]
    policy.spent(COST)
    assert not any(policy.decide(4.4 + t / 10, 0.25) for t in range(10))  # bad, but not lost
    policy = broke()
    assert not any(policy.decide(4 + t / 10, 0.15 + t / 100) for t in range(40))  # crept up on
