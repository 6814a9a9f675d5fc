# SPDX-License-Identifier: Apache-2.0
"""The playout buffer on a clock that the test moves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.rtc.playout import STRAGGLERS, PlayoutBuffer, PlayoutConfig

TICK = 0.04
#: Acts at once, waits for every frame: what the tests of single steps need.
EXACT = PlayoutConfig(quantile=1.0, margin=0.0, rise=1e9, fall=1e9)


def play(buffer: PlayoutBuffer[int], arrivals: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Feed (time, tick) pairs and return (time, tick) of everything shown, to 1 ms."""
    shown = []
    queue = sorted(arrivals)
    for step in range(int((queue[-1][0] + 2.0) * 1000)):
        now = step / 1000
        while queue and queue[0][0] <= now:
            _, tick = queue.pop(0)
            buffer.push(tick, tick, now)
        frame = buffer.due(now)
        if frame is not None:
            shown.append((now, frame[0]))
    return shown


def grouped(groups: int, size: int, network: float = 0.02) -> list[tuple[float, int]]:
    """Arrivals of ``groups`` groups of ``size`` frames, each sent when its last is captured."""
    return [
        ((group * size + size - 1) * TICK + network, group * size + frame)
        for group in range(groups)
        for frame in range(size)
    ]


def test_frames_of_a_group_are_spread_evenly() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, EXACT)
    shown = play(buffer, grouped(10, 3))
    assert [tick for _, tick in shown] == list(range(30))
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(shown)]
    assert min(steps) >= 0.039 - 1e-9
    assert max(steps) <= 0.041 + 1e-9
    # Nothing waits longer than the grouping itself makes it: two ticks and the network.
    assert shown[-1][0] - shown[-1][1] * TICK == pytest.approx(2 * TICK + 0.02, abs=0.002)


def test_reordered_frames_are_shown_in_order() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, EXACT)
    buffer.push(0, 0, 0.10)
    assert buffer.due(0.10) == (0, 0)
    buffer.push(2, 2, 0.11)
    buffer.push(1, 1, 0.12)
    assert buffer.next_due() == pytest.approx(0.14)
    assert buffer.due(0.14) == (1, 1)
    assert buffer.due(0.17) is None
    assert buffer.due(0.18) == (2, 2)
    assert buffer.next_due() is None


def test_a_late_frame_is_dropped_and_counted() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, EXACT)
    buffer.push(0, 0, 0.0)
    buffer.due(0.0)
    buffer.push(2, 2, 0.08)
    assert buffer.due(0.08) == (2, 2)
    buffer.push(1, 1, 0.3)
    assert buffer.next_due() is None
    assert buffer.counts.late == 1


def test_a_frame_twice_is_shown_once() -> None:
    buffer: PlayoutBuffer[str] = PlayoutBuffer(TICK, EXACT)
    buffer.push(0, "first", 0.0)
    buffer.push(0, "second", 0.0, fresh=False)
    assert buffer.due(0.0) == (0, "first")
    buffer.push(0, "third", 0.0)
    assert buffer.due(0.0) is None
    assert buffer.counts.duplicate == 2


def test_a_coarse_copy_gives_way_to_the_frame() -> None:
    buffer: PlayoutBuffer[str] = PlayoutBuffer(TICK, EXACT)
    buffer.push(0, "coarse", 0.0, fresh=False)
    buffer.push(0, "fine", 0.0)
    assert buffer.due(0.0) == (0, "fine")


def test_the_newest_due_frame_wins() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, EXACT)
    for tick in range(3):
        buffer.push(tick, tick, 0.0)
    assert buffer.due(1.0) == (2, 2)
    assert buffer.counts.skipped == 2


def test_frequent_repair_buys_a_longer_delay_and_rare_repair_does_not() -> None:
    def delay(lost_every: int) -> float:
        """Seconds from capture to showing at the end, when the next group repairs a loss."""
        arrivals = [
            (time + (3 * TICK if (tick // 3) % lost_every == 0 and tick > 30 else 0), tick)
            for time, tick in grouped(100, 3)
        ]
        buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
        when, tick = play(buffer, arrivals)[-1]
        return when - tick * TICK

    assert delay(lost_every=1000) < 0.12
    assert delay(lost_every=4) > 0.2


def test_the_delay_has_an_upper_bound() -> None:
    arrivals = [(tick * TICK + (1.0 if tick % 5 == 0 else 0.0), tick) for tick in range(200)]
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, PlayoutConfig(rise=1e9, fall=1e9))
    when, tick = play(buffer, arrivals)[-1]
    assert when - tick * TICK == pytest.approx(0.305, abs=0.002)
    assert buffer.counts.late >= 38


def test_a_jump_of_the_tick_scale_starts_over() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
    buffer.push(0, 0, 0.0)
    buffer.push(100_000, 1, 0.04)
    assert buffer.counts.restarts == 1
    assert buffer.due(0.05) == (100_000, 1)
    for tick in range(2, 2 + STRAGGLERS):
        assert buffer.counts.restarts == 1
        buffer.push(tick, tick, tick * TICK)
    assert buffer.counts.restarts == 2
    assert buffer.due(1.0) == (tick, tick)


def test_an_old_frame_that_comes_far_too_late_is_not_shown() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
    for tick in range(100, 180):
        buffer.push(tick, tick, tick * TICK)
        assert buffer.due(tick * TICK + 0.01) == (tick, tick)
        for step in range(1, STRAGGLERS):
            buffer.push(tick - 60 - step, 0, tick * TICK + 0.02)
        assert buffer.due(tick * TICK + 0.03) is None
    assert buffer.counts.restarts == 0
    assert buffer.counts.late == 80 * (STRAGGLERS - 1)


def test_a_full_buffer_drops_the_oldest() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, PlayoutConfig(capacity=2))
    for tick in range(4):
        buffer.push(tick, tick, 0.0)
    assert buffer.counts.overflowed == 2
    assert buffer.due(1.0) == (3, 3)


def shown_until(buffer: PlayoutBuffer[int], end: float) -> tuple[list[int], list[int]]:
    """Let time pass in steps of a millisecond; return (ticks shown, ticks told missing)."""
    shown, missing = [], []
    now = 0.0
    while now < end:
        if (due := buffer.due(now)) is not None:
            shown.append(due[0])
        elif (tick := buffer.missing(now)) is not None:
            missing.append(tick)
        now += 0.001
    return shown, missing


def test_missing_frames_are_told_at_their_time_until_concealment_ends() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
    for tick in range(5):
        buffer.push(tick, tick, tick * TICK)
    shown, missing = shown_until(buffer, 2.0)
    assert shown == [0, 1, 2, 3, 4]
    assert missing == [5, 6, 7, 8, 9]  # 0.2 s
    assert buffer.counts.missing == 5
    assert buffer.next_missing() is None


def test_a_missing_frame_is_due_half_a_frame_after_its_time() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
    for tick in range(2):
        buffer.push(tick, tick, tick * TICK)
    assert buffer.due(1 * TICK + 0.01) is not None
    assert buffer.next_missing() == pytest.approx(2 * TICK + 0.005 + TICK / 2)


def test_a_sender_that_leaves_frames_out_is_missing_none() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
    missing = []
    for tick in range(0, 40, 2):
        buffer.push(tick, tick, tick * TICK)
        for step in range(80):
            now = (tick + step / 40) * TICK
            if buffer.due(now) is None and (told := buffer.missing(now)) is not None:
                missing.append(told)
    assert missing in ([], [1])


def test_a_frame_that_comes_late_is_shown_even_after_guesses_at_later_ones() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK)
    for tick in range(3):
        buffer.push(tick, tick, tick * TICK)
        assert buffer.due(tick * TICK + 0.006) is not None
    assert buffer.missing(3 * TICK + 0.026) == 3
    buffer.push(3, 3, 3 * TICK + 0.03)
    assert buffer.due(3 * TICK + 0.06) == (3, 3)  # the guess gives way to the frame
    assert buffer.missing(4 * TICK + 0.06) == 4
    assert buffer.missing(5 * TICK + 0.06) == 5
    buffer.push(4, 4, 5 * TICK + 0.06)
    assert buffer.due(6 * TICK + 0.06) == (4, 4)
    assert buffer.missing(6 * TICK + 0.06) == 5  # again, from better knowledge
    assert buffer.counts.late == 0


def test_concealment_can_be_switched_off() -> None:
    buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, PlayoutConfig(conceal=0.0))
    buffer.push(0, 0, 0.0)
    assert shown_until(buffer, 1.0) == ([0], [])


@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 3)), min_size=1, max_size=80))
def test_ticks_rise_and_every_frame_is_accounted_for(arrivals: list[tuple[int, float]]) -> None:
    # Within one tick scale: jumps of more than the discontinuity are another test's business.
    buffer: PlayoutBuffer[int] = PlayoutBuffer(0.01, PlayoutConfig(discontinuity=100))
    shown = []
    for tick, now in sorted(arrivals, key=lambda arrival: arrival[1]):
        buffer.push(tick, tick, now)
        frame = buffer.due(now)
        if frame is not None:
            shown.append(frame[0])
    while (due := buffer.next_due()) is not None:
        frame = buffer.due(due + 1e-9)
        assert frame is not None
        shown.append(frame[0])
    assert shown == sorted(set(shown))
    counts = buffer.counts
    total = counts.shown + counts.late + counts.duplicate + counts.skipped + counts.overflowed
    assert total == len(arrivals)


@pytest.mark.parametrize("wrong", [{"quantile": 0.0}, {"window": 0}, {"capacity": 0}])
def test_a_wrong_configuration_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PlayoutConfig(**wrong)  # type: ignore[arg-type]


def test_a_tick_needs_a_length() -> None:
    with pytest.raises(ValueError, match="expected a tick of more than 0 s"):
        PlayoutBuffer(0.0)


def test_frames_that_waited_for_the_first_picture_do_not_delay_the_call() -> None:
    """The first group of two leaves 150 ms late, behind the reference; later ones do not."""
    arrivals = grouped(30, 2)
    late = [(when + 0.15, tick) for when, tick in arrivals[:2]] + arrivals[2:]
    delays = {}
    for name, config in (
        ("usual", PlayoutConfig()),
        ("waits for all", PlayoutConfig(slow_starters=0)),
    ):
        buffer: PlayoutBuffer[int] = PlayoutBuffer(TICK, config)
        for when, tick in late:
            buffer.push(tick, tick, when)
            if tick == 24:  # after one second
                delays[name] = buffer.waits
    assert delays["usual"] < 0.06
    assert delays["waits for all"] > 0.15
