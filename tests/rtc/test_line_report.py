# SPDX-License-Identifier: Apache-2.0
"""What reports on ordinary video say of the path, on times that the test chooses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiortc.rtcrtpsender import RTT_ALPHA

from talkcodec.rtc.linereport import LinePath, LineReport, line_report
from talkcodec.rtc.path import PathState


class Told:
    """The other side's reports, one a second, smoothed as aiortc does it; ``sent``: bytes."""

    def __init__(self, rtt: float | None = 0.05, loss: float | None = None) -> None:
        self.path = LinePath()
        self.path.begin(rtt, loss, 0.0)
        self.now = self.sent = 0.0
        self._smoothed: float | None = None

    def second(self, rtt: float, rate: float, loss: float = 0.0) -> PathState:
        """A second in which ``rate`` bits were sent, and the report after it."""
        before = self._smoothed
        self._smoothed = rtt if before is None else RTT_ALPHA * before + (1 - RTT_ALPHA) * rtt
        self.now += 1
        self.sent += rate / 8
        report = LineReport(self.now, loss, self._smoothed)
        state = self.path.take(report, self.sent, self.now)
        assert state is not None
        assert self.path.take(report, self.sent, self.now + 0.1) is None  # told once
        return state


def test_a_round_trip_is_told_although_aiortc_smooths_it() -> None:
    told = Told()
    for rtt in (0.05, 0.08, 0.3, 0.06):
        assert told.second(rtt, 30_000).rtt == pytest.approx(rtt)


def test_a_queue_must_stand_for_two_reports_or_be_a_long_one() -> None:
    told = Told()
    told.second(0.05, 30_000)
    assert told.second(0.15, 30_000).queue == pytest.approx(0.0)
    assert told.second(0.15, 30_000).queue == pytest.approx(0.1)
    assert told.second(0.45, 30_000).queue == pytest.approx(0.4)


def test_a_growing_queue_tells_the_rate_of_the_bottleneck() -> None:
    told = Told()
    told.second(0.05, 40_000)
    # Of 60 kbit a second, 40 come through: a second's worth takes half a second more.
    state = told.second(0.55, 60_000)
    assert state.drained == pytest.approx(40_000)
    # It stands: what is sent comes through.
    assert told.second(0.55, 40_000).drained == pytest.approx(40_000)


def test_nothing_is_known_of_a_rate_before_two_reports() -> None:
    assert Told().second(0.05, 30_000).received is None


def test_loss_that_comes_with_a_rate_is_a_full_queue() -> None:
    told = Told()
    for loss in (0.0, 0.1, 0.0):
        assert told.second(0.05, 30_000, loss).queue == pytest.approx(0.0)
    told.second(0.05, 60_000, 0.3)
    state = told.second(0.05, 60_000, 0.4)
    assert state.queue > 0.06
    assert state.drained == pytest.approx(36_000)


def test_loss_that_motion_saw_or_that_stays_is_none() -> None:
    told = Told(loss=0.3)
    assert all(told.second(0.05, 30_000, loss).queue < 0.01 for loss in (0.3, 0.4, 0.2, 0.5))
    told = Told()
    queues = [told.second(0.05, 30_000, 0.3).queue for _ in range(12)]
    assert queues[2] > 0.06
    assert queues[-1] < 0.01


def test_a_report_is_found_among_what_aiortc_tells() -> None:
    assert line_report([SimpleNamespace(type="outbound-rtp")]) is None
    at = SimpleNamespace(timestamp=lambda: 7.0)
    told = SimpleNamespace(
        type="remote-inbound-rtp", timestamp=at, fractionLost=64, roundTripTime=0.05
    )
    assert line_report([told]) == LineReport(7.0, 0.25, 0.05)
