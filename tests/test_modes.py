# SPDX-License-Identifier: Apache-2.0
"""The policy that leaves motion for video: states, hysteresis, and any evidence whatever."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.clock import ManualClock
from talkcodec.modes import ModeConfig, ModePolicy, Reason, State, judge
from talkcodec.trust import Evidence

CONFIG = ModeConfig()
STEP = 0.12  # three frames at 25 a second

CLEAN = Evidence(0.0, face=1.0, rest=0.0, turn=0.0, whole=0.2)
HAND = replace(CLEAN, face=1.2 * CONFIG.face)
COVERED = replace(CLEAN, light=0.05, detail=0.05)


class Call:
    """A policy and the clock by which it is shown evidence."""

    def __init__(self, config: ModeConfig = CONFIG) -> None:
        self.clock = ManualClock()
        self.policy = ModePolicy(config)
        self.modes: list[tuple[float, str]] = []

    def show(self, evidence: Evidence, seconds: float = STEP, *, deliver: bool = True) -> None:
        """Show ``evidence`` every group for ``seconds``; keys that are asked for arrive at once."""
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            self.policy.observe(replace(evidence, time=self.clock.now()))
            if self.policy.take_restart() and deliver:
                self.policy.arrived()
            self.modes.append((self.clock.now(), self.policy.mode))

    def state(self) -> State:
        return self.policy.state

    def doubts(self) -> tuple[bool, bool]:
        """Return whether references are hurried, and whether what is shown is in doubt."""
        return self.policy.hurry, self.policy.low_confidence

    def switched(self, mode: str, since: float = 0.0) -> float:
        """Return when ``mode`` came first after ``since``."""
        return next(time for time, m in self.modes if time > since and m == mode)


def test_a_clean_call_stays_in_motion() -> None:
    call = Call()
    call.show(CLEAN, 60)
    assert call.state() is State.MOTION
    assert call.policy.reason == "none"
    assert not call.policy.low_confidence
    assert call.policy.switches == 0


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (HAND, "hidden_face"),
        (COVERED, "covered"),
        (replace(CLEAN, detail=0.3), "covered"),
        (replace(CLEAN, rival=0.8), "second_face"),
        (replace(CLEAN, face=20.0, whole=30.0), "another_person"),
        (replace(CLEAN, away=0.4, sure=0.0), "no_face"),
        (replace(CLEAN, sure=0.2), "unsure"),
    ],
)
def test_each_failure_is_noticed_within_300_ms_and_named(evidence: Evidence, reason: str) -> None:
    call = Call()
    call.show(CLEAN, 3)
    begin = call.clock.now()
    call.show(evidence, 1.2)
    assert call.switched("video", begin) - begin <= 0.3
    assert call.policy.reason == reason
    assert reason in get_args(Reason)


def test_one_look_that_is_just_wrong_does_not_leave_motion() -> None:
    call = Call()
    for _ in range(50):
        call.show(CLEAN, 2 * STEP)
        call.show(HAND)
    assert {mode for _, mode in call.modes} == {"motion"}


def test_doubt_hurries_references_and_says_so() -> None:
    call = Call()
    call.show(replace(CLEAN, face=0.8 * CONFIG.face))
    assert call.policy.mode == "motion"
    assert call.doubts() == (True, True)
    call.show(CLEAN, CONFIG.ease + 2 * STEP)
    assert call.doubts() == (False, False)


def test_references_hurry_a_little_before_doubt_and_behind_a_return_but_not_in_video() -> None:
    near = replace(CLEAN, face=(CONFIG.early + CONFIG.doubt) / 2 * CONFIG.face)
    call = Call()
    call.show(near)
    assert call.doubts() == (True, False)
    assert call.state() is State.MOTION
    call.show(CLEAN)
    assert call.doubts() == (False, False)
    call.show(HAND, 1.0)
    assert call.policy.mode == "video"
    assert not call.policy.hurry
    call.show(CLEAN, 0.84, deliver=False)
    assert call.state() is State.RETURNING
    assert not call.policy.hurry
    call.show(near, deliver=False)
    assert call.state() is State.RETURNING
    assert call.policy.hurry


def test_references_do_not_hurry_once_one_has_helped() -> None:
    call = Call()
    call.show(replace(CLEAN, face=(CONFIG.doubt + 0.1) * CONFIG.face))
    assert call.doubts() == (True, True)
    call.show(replace(CLEAN, face=(CONFIG.calm + 0.05) * CONFIG.face))
    assert call.doubts() == (True, True)
    call.show(CLEAN)
    assert call.doubts() == (False, True)  # in doubt for a while, but nothing is to be cured


def test_doubt_that_references_do_not_cure_becomes_video() -> None:
    call = Call()
    call.show(replace(CLEAN, rest=500.0), CONFIG.patience - 2 * STEP)
    assert call.state() is State.STRUGGLING
    call.show(replace(CLEAN, rest=500.0), 5 * STEP)
    assert call.state() is State.VIDEO
    assert call.policy.reason == "stale"


def test_somebody_small_in_the_background_does_not_keep_a_call_in_video() -> None:
    call = Call()
    small = replace(CLEAN, rival=0.6 * CONFIG.rival)
    call.show(replace(small, face=HAND.face), 1.2)
    assert call.state() is State.VIDEO
    call.show(small, 3)
    assert call.state() is State.MOTION


def test_motion_comes_back_with_a_fresh_key_and_not_before() -> None:
    call = Call()
    call.show(HAND, 1.2)
    call.show(CLEAN, 6, deliver=False)
    assert call.state() is State.RETURNING
    assert call.policy.mode == "video"
    call.policy.arrived()
    call.show(CLEAN)
    assert call.state() is State.MOTION


def test_a_key_that_arrives_while_nobody_waits_for_it_counts_for_nothing() -> None:
    call = Call()
    call.show(HAND, 1.2)
    call.policy.arrived()
    call.show(CLEAN, 6, deliver=False)
    assert call.policy.mode == "video"


def test_what_no_old_reference_explains_is_tried_with_a_new_one() -> None:
    call = Call()
    call.show(HAND, CONFIG.renew + 4 * STEP, deliver=False)
    assert call.state() is State.RETURNING
    assert call.policy.mode == "video"


@pytest.mark.parametrize("evidence", [COVERED, replace(CLEAN, rival=0.8)])
def test_what_no_reference_can_cure_is_not_tried(evidence: Evidence) -> None:
    call = Call()
    call.show(evidence, 60)
    assert call.state() is State.VIDEO


def test_returns_that_fail_come_less_and_less_often() -> None:
    call = Call()
    lengths: list[float] = []
    call.show(HAND, 1.2)
    for _ in range(8):
        begin = call.clock.now()
        while call.policy.mode == "video":
            call.show(CLEAN)
        lengths.append(call.clock.now() - begin)
        call.show(HAND, 1.2)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(lengths))
    assert lengths[-1] > 5 * lengths[0]
    assert lengths[-1] < CONFIG.longest + CONFIG.settle + 4 * STEP


values = st.floats(allow_nan=True, allow_infinity=True)
evidences = st.builds(
    Evidence,
    time=values,
    away=values,
    sure=values,
    face=values,
    rest=values,
    turn=values,
    whole=values,
    rival=values,
    light=values,
    detail=values,
)


@given(st.lists(st.tuples(evidences, st.booleans(), st.booleans()), max_size=60))
def test_any_evidence_gives_a_mode_and_a_reason(steps: list[tuple[Evidence, bool, bool]]) -> None:
    policy = ModePolicy()
    for evidence, take, arrive in steps:
        assert policy.observe(evidence) == policy.mode
        assert policy.mode in {"motion", "video"}
        assert policy.reason in get_args(Reason)
        assert (policy.reason == "none") <= (policy.mode == "motion")
        assert policy.low_confidence >= (policy.mode == "video")
        if take:
            policy.take_restart()
        if arrive:
            policy.arrived()


@given(evidences)
def test_levels_are_finite_and_bounded(evidence: Evidence) -> None:
    levels = judge(evidence, CONFIG)
    assert all(0 <= level <= 9 for level in levels.values())
    assert levels.keys() | {"stale"} == set(get_args(Reason))


looks = st.sampled_from([CLEAN, HAND, COVERED, replace(CLEAN, face=0.8 * CONFIG.face)])


@given(st.lists(st.tuples(looks, st.floats(0.01, 0.4)), max_size=300))
def test_modes_never_change_faster_than_the_hysteresis(
    steps: list[tuple[Evidence, float]],
) -> None:
    policy, time = ModePolicy(), 0.0
    changes: list[tuple[float, str]] = []
    for evidence, interval in steps:
        time += interval
        before = policy.mode
        policy.observe(replace(evidence, time=time))
        if policy.take_restart():
            policy.arrived()
        if policy.mode != before:
            changes.append((time, policy.mode))
    assert policy.switches == len(changes)
    to_video = [when for when, mode in changes if mode == "video"]
    to_motion = [when for when, mode in changes if mode == "motion"]
    for left, back in zip(to_video, to_motion, strict=False):
        assert back - left >= CONFIG.dwell + CONFIG.settle - 1e-9
    for first, second in pairwise(to_video):
        assert second - first >= CONFIG.dwell + CONFIG.settle - 1e-9


def test_evidence_that_comes_late_changes_nothing() -> None:
    call = Call()
    call.show(CLEAN, 3)
    call.policy.observe(replace(COVERED, time=1.0))
    call.policy.observe(replace(COVERED, time=float("nan")))
    assert call.state() is State.MOTION
