# SPDX-License-Identifier: Apache-2.0
"""What the rate control makes of a path, on a clock and with reports that the test chooses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkcodec.rtc.path import PathState
from talkcodec.rtc.rate import RateConfig, RateController, ladder
from talkcodec.types import StreamSettings

BEST = StreamSettings(3, 0, redundancy=True)
GOOD = PathState(rtt=0.05, counted=100, received=9_000.0)


class Path:
    """A controller that gets the same report every half second."""

    def __init__(self, config: RateConfig | None = None) -> None:
        self.control = RateController(BEST, config=config)
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []

    def run(self, state: PathState, seconds: float) -> StreamSettings:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            before = self.control.rung
            self.control.sent(36, 3)
            self.control.update(state, self.now)
            if self.control.rung != before:
                self.changes.append((self.now, self.control.rung))
        return self.control.settings

    def of_rate(self, rate: float, seconds: float) -> StreamSettings:
        """Let a bottleneck of ``rate`` act: it queues what is more, and shows its rate then."""
        end = self.now + seconds
        while self.now < end:
            sent = self.control.cost(self.control.settings)
            full = sent > 0.95 * rate
            state = replace(
                GOOD,
                queue=0.2 if full else 0.0,
                received=min(sent, rate),
                drained=rate if full else None,
            )
            self.run(state, 0.5)
        return self.control.settings


def test_the_ladder_leads_from_larger_groups_to_fewer_frames() -> None:
    rungs = ladder(BEST)
    assert rungs[0] == BEST
    assert [(r.group, r.divisor) for r in rungs] == [(3, 1), (4, 1), (4, 2), (4, 3), (4, 4)]
    control = RateController(BEST)
    costs = [control.cost(rung) for rung in rungs]
    assert all(later < earlier for earlier, later in pairwise(costs))
    assert control.cost(rungs[2], both=True) < 7_000
    assert [r.group for r in ladder(StreamSettings(1))][:4] == [1, 2, 3, 4]


def test_a_good_path_gets_what_was_asked_for() -> None:
    assert Path().run(GOOD, 60) == BEST


def test_a_full_path_gets_less_at_once_and_what_it_can_carry() -> None:
    path = Path()
    path.run(GOOD, 10)
    full = replace(GOOD, queue=0.3, newest=0.3, drained=9_000.0)
    settings = path.run(full, 0.5)
    assert path.control.full
    assert path.control.cost(settings) < 9_000 * 0.6
    assert path.control.estimate == pytest.approx(9_000)
    assert settings.coarse


def test_random_loss_is_no_reason_to_send_less() -> None:
    path = Path()
    path.run(replace(GOOD, loss=0.3), 20)
    assert path.control.estimate >= RateConfig().start
    assert path.control.rung == 0


def test_loss_makes_packets_smaller_with_hysteresis() -> None:
    path = Path()
    assert path.run(replace(GOOD, loss=0.08), 5).group == 3
    assert path.run(replace(GOOD, loss=0.15), 5).group == 2
    assert path.run(replace(GOOD, loss=0.08), 5).group == 2
    assert path.run(replace(GOOD, loss=0.25), 5).group == 1
    assert path.run(replace(GOOD, loss=0.18), 5).group == 1
    assert path.run(replace(GOOD, loss=0.1), 5).group == 2
    assert path.run(replace(GOOD, loss=0.02), 5).group == 3


def test_where_there_is_no_room_loss_makes_packets_no_smaller() -> None:
    path = Path()
    path.control.estimate = 40_000.0
    settings = path.run(replace(GOOD, loss=0.3, received=8_000.0), 2)
    assert (settings.group, settings.redundancy) == (2, True)
    path.control.estimate = 15_000.0
    assert path.run(replace(GOOD, loss=0.3, received=8_000.0), 2).group >= 3


def test_loss_out_of_few_packets_is_no_loss() -> None:
    assert Path().run(replace(GOOD, loss=0.5, counted=4), 5).group == 3


def test_loss_switches_redundancy_on() -> None:
    control = RateController(StreamSettings(2))
    control.update(GOOD, 0.0)
    assert not control.settings.redundancy
    control.update(replace(GOOD, loss=0.2), 1.0)
    assert control.settings.redundancy


def test_a_queue_that_overflows_at_once_is_seen_by_what_it_loses() -> None:
    path = Path()
    path.run(replace(GOOD, loss=0.6, queue=0.03, received=4_000.0), 2)
    assert path.control.estimate <= 5_000
    assert path.control.rung >= 2


def test_one_step_up_at_a_time_and_only_after_patience() -> None:
    path = Path()
    path.run(replace(GOOD, queue=0.3, drained=5_000.0), 1)
    assert path.control.rung == 4
    path.changes.clear()
    path.run(replace(GOOD, received=60_000.0), 60)
    assert path.control.rung == 0
    times, rungs = zip(*path.changes, strict=True)
    assert list(rungs) == [3, 2, 1, 0]
    assert min(later - earlier for earlier, later in pairwise(times)) >= RateConfig().patience


@pytest.mark.parametrize("rate", [6_000.0, 8_000.0, 12_000.0, 20_000.0, 40_000.0])
def test_on_a_narrow_path_the_rung_settles(rate: float) -> None:
    path = Path()
    path.of_rate(rate, 20)
    path.changes.clear()
    settings = path.of_rate(rate, 120)
    assert path.control.cost(settings) <= rate
    assert len(path.changes) <= 30
    # Failed attempts become rare.
    late = [time for time, _ in path.changes if time > 80]
    assert len(late) <= 16


def test_a_large_packet_that_comes_slowly_bounds_the_estimate() -> None:
    path = Path()
    path.run(replace(GOOD, alone=(30_000.0,)), 2.5)
    assert path.control.estimate >= RateConfig().start  # it may have had to wait
    path.run(replace(GOOD, alone=(28_000.0,)), 1)
    assert path.control.estimate == pytest.approx(30_000, rel=0.02)


def test_what_was_never_tried_is_not_claimed() -> None:
    path = Path()
    path.run(GOOD, 600)
    assert path.control.estimate <= RateConfig().start * 1.05


def test_silence_is_taken_for_a_path_that_is_nearly_dead() -> None:
    path = Path()
    path.run(GOOD, 2)
    for step in range(600):
        path.control.starve(path.now + step / 10)
    assert path.control.rung >= 3
    assert path.control.estimate == RateConfig().least


def test_a_budget_for_both_ways_is_kept() -> None:
    path = Path(RateConfig(both=10_000.0))
    settings = path.run(GOOD, 30)
    assert path.control.cost(settings, both=True) < 8_500
    forward = path.control.cost(settings)
    assert path.control.usable < forward + (10_000 - path.control.cost(settings, both=True)) / 2


def test_coarse_references_have_hysteresis() -> None:
    path = Path()
    flips = []
    for turn in range(40):
        rate = 44_000.0 if turn % 2 else 58_000.0
        path.control.estimate = rate
        flips.append(path.run(replace(GOOD, received=30_000.0), 0.5).coarse)
    assert sum(a != b for a, b in pairwise(flips)) <= 1


@given(
    st.lists(
        st.builds(
            PathState,
            rtt=st.none() | st.floats(0, 10),
            loss=st.floats(0, 1),
            counted=st.integers(0, 100),
            queue=st.floats(0, 60),
            newest=st.floats(0, 60),
            received=st.none() | st.floats(0, 1e9),
            drained=st.none() | st.floats(0.001, 1e9),
            alone=st.lists(st.floats(0.001, 1e9), max_size=3).map(tuple),
        ),
        max_size=30,
    ),
    st.integers(1, 4),
)
def test_whatever_is_reported_settings_are_valid_and_rates_are_bounded(
    states: list[PathState], group: int
) -> None:
    config = RateConfig()
    control = RateController(StreamSettings(group))
    for number, state in enumerate(states):
        control.update(state, number * 0.3)
        assert config.least <= control.estimate <= config.most
        assert 1 <= control.settings.group <= 4
        assert control.pace > 0
        assert control.interval > 0


def test_while_a_reference_is_under_way_packets_leave_room_for_its_chunks() -> None:
    path = Path(RateConfig(start=30_000, untried=0.0))
    path.run(replace(GOOD, received=0.0), 1.0)
    assert path.control.settings.group == 3
    path.control.busy = True
    assert path.control.settings.group == 4
    assert path.control.interval == pytest.approx(0.16)
    wide = Path(RateConfig(start=100_000))
    wide.control.busy = True
    assert wide.run(GOOD, 1.0).group == 3


def test_loss_makes_packets_smaller_only_while_no_reference_needs_the_time_between() -> None:
    path = Path(RateConfig(start=40_000, untried=0.0))
    losing = replace(GOOD, loss=0.15, received=0.0)
    assert path.run(losing, 1.0).group == 2
    path.control.busy = True
    assert path.control.settings.group == 3


def test_an_estimate_is_known_once_large_packets_have_found_it() -> None:
    control = RateController(BEST)
    known = [control.known]
    for number, rate in enumerate((40_000.0, 30_000.0)):
        control.update(replace(GOOD, alone=(rate,)), 0.1 * number)
        known.append(control.known)
    assert known == [False, False, True]
    assert control.estimate == 40_000
    # What was found before there was motion bounds the estimate until there is more to go by.
    control.sent(36, 3)
    control.update(GOOD, 5.0)
    assert control.estimate == 40_000
