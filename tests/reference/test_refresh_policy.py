# SPDX-License-Identifier: Apache-2.0
"""References are bought with tokens, when the gain lasts."""

from __future__ import annotations

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


def test_a_torn_picture_is_in_doubt() -> None:
    policy = RefreshPolicy(RefreshConfig(torn=0.01))
    assert not policy.decide(0.0, 0.2, torn=0.01)  # has patience
    assert policy.decide(0.04, 0.2, torn=0.011)
    assert not RefreshPolicy(CONFIG).decide(0.0, 0.01, torn=0.5)  # a fresh one would be no better
