# SPDX-License-Identifier: Apache-2.0
"""When the receiver reports, for arrivals that the test chooses."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkcodec.bitstream import GroupHeader, PathReport, StreamHeader
from talkcodec.bitstream.report import MAX_ARRIVALS
from talkcodec.rtc.arrivals import LATE, LOSING, REPORT_INTERVAL, ArrivalLog

TICK = 0.04
HEADER = StreamHeader(256, Fraction(25), bytes(8))


def group(tick: int, count: int = 3) -> GroupHeader:
    return GroupHeader(tick & 0xFFFF, count, 0, 0, flow=False, redundant=False)


class Stream:
    """A log that is asked every 10 ms."""

    def __init__(self) -> None:
        self.log = ArrivalLog()
        self.log.header(HEADER)
        self.log.started(0.0)
        self.reports: list[tuple[float, PathReport]] = []

    def play(self, arrivals: list[tuple[float, int]], end: float, count: int = 3) -> None:
        """Let (time, tick) of motion packets arrive until ``end``."""
        for step in range(round(end * 100) + 1):
            now = step / 100
            while arrivals and arrivals[0][0] <= now + 1e-9:
                time, tick = arrivals.pop(0)
                self.log.motion(group(tick, count), time)
            report = self.log.due(now, 0.1, (1, 2))
            if report is not None:
                self.reports.append((now, report))

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.reports]


def steady(first: int, last: int) -> list[tuple[float, int]]:
    """Groups of three, each 0.02 s after its last frame."""
    return [((tick + 2) * TICK + 0.02, tick) for tick in range(first, last, 3)]


def test_in_peace_reports_are_rare() -> None:
    stream = Stream()
    stream.play(steady(0, 250), 10.0)
    assert stream.times == pytest.approx([0.5, 2.5, 4.5, 6.5, 8.5], abs=0.011)
    report = stream.reports[1][1]
    assert report.received == 21
    assert report.delay_ms == 100
    assert report.held == (1, 2)
    assert [arrival.id for arrival in report.arrivals] == list(range(12, 61, 3))
    ages = [arrival.age for arrival in report.arrivals]
    assert ages == sorted(ages, reverse=True)


def test_motion_that_comes_later_and_later_is_told_at_once() -> None:
    stream = Stream()
    late = [(time + max(time - 5.0, 0.0), tick) for time, tick in steady(0, 200)]
    stream.play(late, 6.0)
    first = min(time for time in stream.times if time > 4.51)
    assert first < 5.5
    urgent = [time for time in stream.times if time > first]
    assert urgent
    assert min(
        later - earlier for earlier, later in zip([first, *urgent], urgent, strict=False)
    ) > (LATE - 0.011)


def test_motion_that_stays_late_is_told_once() -> None:
    stream = Stream()
    late = [(time + 0.2 * (time > 5.0), tick) for time, tick in steady(0, 250)]
    stream.play(late, 9.0)
    assert len([time for time in stream.times if 5.0 < time < 7.0]) <= 2


def test_a_larger_group_is_not_late() -> None:
    stream = Stream()
    stream.play(steady(0, 60), 2.6)
    times = [time for time in stream.times if time > 2.0]
    four = [((tick + 3) * TICK + 0.02, tick) for tick in range(66, 150, 4)]
    for time, tick in four:
        stream.log.motion(group(tick, 4), time)
        assert stream.log._due == pytest.approx(times[-1] + REPORT_INTERVAL)


def test_holes_are_told_after_a_while() -> None:
    stream = Stream()
    lossy = [arrival for n, arrival in enumerate(steady(0, 300)) if n % 3]
    stream.play(lossy, 10.0)
    gaps = [later - earlier for earlier, later in zip(stream.times, stream.times[1:], strict=False)]
    assert min(gaps) >= LOSING - 0.011 or min(gaps) == pytest.approx(0.5, abs=0.02)
    assert 8 <= len(stream.times) <= 12


def test_silence_is_told_once() -> None:
    stream = Stream()
    stream.play(steady(0, 75), 8.0)  # until 2.98 s
    silent = [time for time in stream.times if time > 2.98]
    assert silent[0] == pytest.approx(2.98 + 0.36, abs=0.03)
    assert len(silent) <= 4
    assert silent[1] - silent[0] == pytest.approx(REPORT_INTERVAL, abs=0.02)


def test_after_a_long_pause_ticks_go_on_from_the_header() -> None:
    stream, pause = Stream(), 2**16 - 75
    stream.play(steady(0, 75), 2.98)
    # Counted from the packet before the pause, they would seem 44 minutes late.
    stream.log.header(replace(HEADER, tick=75 + pause))
    stream.reports.clear()
    stream.play([(t - pause * TICK, tick) for t, tick in steady(75 + pause, 225 + pause)], 8.0)
    assert len(stream.times) <= 4


def test_a_chunk_that_asks_is_answered_at_once() -> None:
    log = ArrivalLog()
    log.chunk(7, 3, 1.0, answer=False)
    assert log.due(1.0, 0.0, ()) is None
    log.chunk(7, 4, 1.1, answer=True)
    report = log.due(1.1, 0.0, ())
    assert report is not None
    assert [(a.id, a.age, a.chunk) for a in report.arrivals] == [
        (7 * 256 + 3, 100, True),
        (7 * 256 + 4, 0, True),
    ]


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(1, 4)), max_size=200))
def test_whatever_arrives_reports_are_bounded(packets: list[tuple[int, int]]) -> None:
    log = ArrivalLog()
    log.header(HEADER)
    log.started(0.0)
    reports = 0
    for number, (tick, count) in enumerate(packets):
        now = number * 0.01
        log.motion(group(tick, count), now)
        report = log.due(now, 0.0, ())
        if report is not None:
            reports += 1
            assert len(report.arrivals) <= MAX_ARRIVALS
            assert PathReport.parse(report.serialize()) == report
    # Two seconds at most: however they come, no more than one report in a fifth of one.
    assert reports <= 2 / LATE + 2
