# SPDX-License-Identifier: Apache-2.0
"""States for moments of which nothing came."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from talkcodec.media.sources import Track
from talkcodec.motion.extrapolate import DAMPING, JUMP, REACH, StateTrack
from talkcodec.motion.shape import GAZE, POSE
from talkcodec.types import F64
from talkcodec.weights import shape_model

TICK = 0.04


def guess(track: StateTrack, tick: int) -> F64:
    """Return what the track says, which must be something."""
    found = track.at(tick)
    assert found is not None
    return found


def state(value: float, dimension: int = 12) -> F64:
    return np.full(dimension, value)


def test_a_known_state_is_itself_and_between_two_is_between() -> None:
    track = StateTrack(TICK)
    track.add(10, state(1.0))
    track.add(14, state(3.0))
    assert track.at(9) is None
    assert np.array_equal(guess(track, 10), state(1.0))
    assert np.allclose(guess(track, 11), state(1.5))


def test_the_pose_goes_on_ever_slower_and_the_face_is_held() -> None:
    track = StateTrack(TICK)
    track.add(0, state(0.0))
    track.add(1, state(0.01))
    ahead = [guess(track, tick) for tick in range(2, 12)]
    pose = [float(s[0]) for s in ahead]
    steps = np.diff([0.01, *pose])
    assert np.all(steps > 0)
    assert np.all(np.diff(steps) < 0)
    assert pose[-1] == pytest.approx(0.01 + 0.01 / TICK * DAMPING, rel=2e-3)
    assert all(np.allclose(s[POSE.stop :], 0.01) for s in ahead)


def test_a_leap_is_not_continued_beyond_reach() -> None:
    track = StateTrack(TICK)
    track.add(0, state(0.0))
    track.add(1, state(500.0))
    assert np.allclose(guess(track, 50)[POSE] - 500.0, REACH)


def test_coarse_copies_give_no_velocity_and_give_way() -> None:
    track = StateTrack(TICK)
    track.add(0, state(0.0), fresh=False)
    track.add(1, state(0.1), fresh=False)
    assert np.allclose(guess(track, 5), state(0.1))
    track.add(1, state(0.2))
    track.add(1, state(0.3), fresh=False)
    assert np.allclose(guess(track, 1), state(0.2))


def test_a_jump_of_ticks_forgets_the_old_ones() -> None:
    track = StateTrack(TICK)
    for tick in range(5):
        track.add(1000 + tick, state(1.0))
    track.add(1000 - JUMP, state(2.0))
    assert track.newest == 1000 - JUMP
    assert np.allclose(guess(track, 1010), state(2.0))


@given(st.lists(st.tuples(st.integers(0, 10**9), st.booleans()), max_size=60))
def test_memory_is_bounded_and_a_guess_is_finite(arrivals: list[tuple[int, bool]]) -> None:
    track = StateTrack(TICK)
    for tick, fresh in arrivals:
        track.add(tick, state(float(tick % 7)), fresh=fresh)
        assert np.all(np.isfinite(guess(track, tick + 3)))
        assert len(track._states) <= 8


def test_heads_go_on() -> None:
    """The figures of the docstring, on the recorded track: better than holding, for the pose."""
    model = shape_model()
    states = Track.load().states(model, 60.0)
    errors = {"held": 0.0, "continued": 0.0}
    for end in range(3, len(states) - 3):
        track = StateTrack(TICK)
        for tick in (end - 1, end):
            track.add(tick, states[tick])
        continued = guess(track, end + 1)
        errors["held"] += float(np.abs(states[end] - states[end + 1])[3:5].sum())
        errors["continued"] += float(np.abs(continued - states[end + 1])[3:5].sum())
        assert np.array_equal(continued[GAZE], states[end][GAZE])
    assert errors["continued"] < 0.85 * errors["held"]
