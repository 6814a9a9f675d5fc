# SPDX-License-Identifier: Apache-2.0
"""What reports tell about a path, for departures and arrivals that the test chooses."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkcodec.bitstream import Arrival, PathReport
from talkcodec.rtc.path import MESSAGE_OVERHEAD, PathMonitor, PathState

SIZE = 150 - MESSAGE_OVERHEAD  # 150 bytes on the wire


class Peer:
    """The other end: a clock of its own, and a report of what the test says has come."""

    def __init__(self, offset: float = 1000.0) -> None:
        self.monitor = PathMonitor()
        self.offset = offset
        self.received = 0

    def report(
        self, came: list[tuple[int, float]], now: float, *, back: float = 0.025, rate: float = 1e9
    ) -> PathState:
        """Report motion (tick, time of arrival), at ``now`` less the way back."""
        left = now - back
        self.received += len(came)
        arrivals = tuple(Arrival(tick, round(1000 * (left - time))) for tick, time in came)
        clock = round(1000 * (left + self.offset)) % 2**32
        report = PathReport(clock, self.received % 2**16, 0, arrivals)
        return self.monitor.take(report, now, rate)


def sent(peer: Peer, ticks: range, every: float = 0.1, size: int = SIZE) -> list[float]:
    times = [tick * every for tick in ticks]
    for tick, time in zip(ticks, times, strict=True):
        peer.monitor.motion(tick, size, time)
    return times


def test_a_quiet_path_has_a_round_trip_no_queue_and_no_loss() -> None:
    peer = Peer()
    times = sent(peer, range(10))
    state = peer.report([(n, t + 0.025) for n, t in enumerate(times)], 1.0)
    assert state.rtt == pytest.approx(0.05, abs=0.002)
    assert state.queue == pytest.approx(0.0, abs=0.002)
    assert (state.loss, state.counted) == (0.0, 10)
    assert state.received == pytest.approx(150 * 8 / 0.1, rel=0.02)
    assert state.drained is None


@pytest.mark.parametrize("offset", [0.0, 5e5, 2**32 / 1000 - 0.5])
def test_the_receivers_clock_may_be_any_and_wrap(offset: float) -> None:
    peer = Peer(offset)
    times = sent(peer, range(20))
    peer.report([(n, t + 0.025) for n, t in enumerate(times[:10])], 1.0)
    late = [(n + 10, t + 0.125) for n, t in enumerate(times[10:])]
    state = peer.report(late, 2.2)
    assert state.queue == pytest.approx(0.1, abs=0.003)


def test_one_late_packet_is_jitter_and_two_are_a_queue() -> None:
    peer = Peer()
    times = sent(peer, range(4))
    state = peer.report([(0, times[0] + 0.02), (1, times[1] + 0.09)], 0.3)
    assert state.newest == pytest.approx(0.07, abs=0.002)
    assert state.queue == pytest.approx(0.0, abs=0.002)
    state = peer.report([(2, times[2] + 0.09), (3, times[3] + 0.08)], 0.5)
    assert state.queue == pytest.approx(0.06, abs=0.002)


def test_packets_that_wait_for_one_another_show_the_bottleneck() -> None:
    # 150 bytes every 0.1 s through 8 kbit/s: each takes 0.15 s.
    peer = Peer()
    times = sent(peer, range(10))
    came = [(n, 0.02 + 0.15 * (n + 1)) for n in range(10)]
    assert all(arrival > time for (_, arrival), time in zip(came, times, strict=True))
    state = peer.report(came, 2.0)
    assert state.drained == pytest.approx(8_000, rel=0.03)
    assert state.queue > 0.3


def test_acknowledgements_between_packets_are_counted_in() -> None:
    peer = Peer()
    for tick in range(6):
        peer.monitor.motion(tick, SIZE, 0.1 * tick)
        peer.monitor.answered(0.1 * tick + 0.05)
    # 150 + 93 bytes each time.
    came = [(n, 0.02 + 0.243 * (n + 1)) for n in range(6)]
    assert peer.report(came, 2.0).drained == pytest.approx(8_000, rel=0.03)


def test_a_larger_packets_own_time_is_no_queue_and_tells_the_rate() -> None:
    peer = Peer()
    peer.monitor.motion(0, SIZE, 0.0)
    peer.monitor.motion(1, SIZE + 400, 1.0)
    # 400 bytes more take 0.16 s more at 20 kbit/s.
    state = peer.report([(0, 0.08), (1, 1.24)], 1.4, rate=20_000)
    assert state.newest == pytest.approx(0.0, abs=0.003)
    assert list(state.alone) == pytest.approx([20_000], rel=0.03)


def test_the_first_chunks_are_measured_against_the_greeting() -> None:
    peer = Peer()
    arrival = (Arrival(0, 0, chunk=True),)
    left = 1.275
    report = PathReport(round(1000 * left), 0, 0, arrival)
    back = len(report.serialize())
    peer.monitor.greeted(0.05, 60)
    peer.monitor.chunk(0, 0, 405, 1.0)
    state = peer.monitor.take(report, 1.3)
    # A chunk and a report took 0.3 s, instead of two short messages 0.05 s.
    assert list(state.alone) == pytest.approx([(405 + back - 60) * 8 / 0.25], rel=0.02)


def test_what_is_not_answered_at_once_is_not_measured_against_the_greeting() -> None:
    peer = Peer()
    peer.monitor.greeted(0.05, 60)
    peer.monitor.chunk(0, 0, 405, 1.0)
    arrival = (Arrival(0, 1500, chunk=True),)
    assert peer.monitor.take(PathReport(2775, 0, 0, arrival), 2.8).alone == ()


def test_a_large_packet_is_measured_against_smaller_ones_of_the_same_report() -> None:
    peer = Peer()
    peer.monitor.chunk(0, 0, 405, 0.9)  # 500 bytes at 40 kbit/s: 0.1 s
    times = sent(peer, range(10, 14))
    came = [Arrival(0, 475, chunk=True)]
    came += [
        Arrival(tick, round(1000 * (1.5 - time - 0.055)))
        for tick, time in zip(range(10, 14), times, strict=True)
    ]
    state = peer.monitor.take(PathReport(1500, 4, 0, tuple(came)), 1.525)
    assert list(state.alone) == pytest.approx([(500 - 150) * 8 / 0.07], rel=0.03)


def test_loss_is_counted_over_the_latest_packets() -> None:
    peer = Peer()
    sent(peer, range(300), every=0.02)
    state = PathState()
    for begin in range(0, 300, 10):
        kept = [n for n in range(begin, begin + 10) if begin >= 150 or n % 5]
        came = [(n, n * 0.02 + 0.02) for n in kept]
        state = peer.report(came, (begin + 10) * 0.02 + 0.1)
        if begin == 140:
            assert state.loss == pytest.approx(0.2, abs=0.03)
    assert state.loss == 0.0
    assert state.counted == 100


def test_a_report_of_nothing_is_the_loss_of_what_left_long_ago() -> None:
    peer = Peer()
    times = sent(peer, range(20))
    peer.report([(n, t + 0.025) for n, t in enumerate(times[:10])], 1.0)
    state = peer.report([], 1.9)
    assert 0.25 <= state.loss <= 0.5


def test_arrivals_of_what_was_never_sent_change_nothing() -> None:
    peer = Peer()
    times = sent(peer, range(4))
    before = peer.report([(n, t + 0.02) for n, t in enumerate(times)], 0.5)
    report = PathReport(5, 4, 0, (Arrival(999, 3), Arrival(7, 1, chunk=True)))
    after = peer.monitor.take(report, 0.6)
    assert (after.rtt, after.loss) == (before.rtt, before.loss)


def test_what_is_remembered_is_bounded() -> None:
    peer = Peer()
    for tick in range(5000):
        peer.monitor.motion(tick, SIZE, tick * 0.01)
        peer.monitor.answered(tick * 0.01)
    assert len(peer.monitor._departures) == 512
    assert len(peer.monitor._answers) == 64


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**16 - 1),
            st.lists(
                st.builds(Arrival, st.integers(0, 40), st.integers(0, 32767), st.booleans()),
                max_size=32,
            ),
        ),
        max_size=20,
    )
)
def test_any_reports_leave_numbers_in_their_range(
    reports: list[tuple[int, int, list[Arrival]]],
) -> None:
    monitor = PathMonitor()
    for number, (clock, received, arrivals) in enumerate(reports):
        now = number * 0.2
        monitor.motion(number, SIZE, now)
        monitor.chunk(0, number, 400, now)
        state = monitor.take(PathReport(clock, received, 0, tuple(arrivals)), now + 0.1)
        assert 0 <= state.loss <= 1
        assert state.counted <= 200
        assert state.queue >= 0
        assert state.rtt is None or state.rtt >= 0
        for rate in (state.received, state.drained, *state.alone):
            assert rate is None or rate > 0
