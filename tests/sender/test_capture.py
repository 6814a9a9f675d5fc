# SPDX-License-Identifier: Apache-2.0
"""The thread that gives a source its pace."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from sender import LIVE, Capture
from talkcodec.clock import SystemClock
from talkcodec.errors import InputError
from talkcodec.types import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)
CLOCK = SystemClock()


def frames(count: int, step: Fraction) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(PICTURE, number, step)


def test_a_fast_source_is_held_back_to_its_own_times() -> None:
    passed: list[tuple[float, int]] = []
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    capture = Capture(
        frames(6, Fraction(1, 100)),
        lambda frame: passed.append((CLOCK.now(), frame.pts)),
        ended.put,
        CLOCK,
    )
    capture.start()
    assert ended.get(timeout=60) is None
    assert [pts for _, pts in passed] == list(range(6))
    # Never early; how late is up to the machine.
    assert all(time - passed[0][0] >= pts * 0.01 - 0.002 for time, pts in passed)


def test_a_live_source_is_never_held_back() -> None:
    passed: list[int] = []
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    hourly = frames(5, Fraction(3600))
    capture = Capture(hourly, lambda frame: passed.append(frame.pts), ended.put, CLOCK, begin=LIVE)
    capture.start()
    assert ended.get(timeout=60) is None
    assert passed == list(range(5))


def test_closing_does_not_wait_for_the_next_frame() -> None:
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    passed: queue.SimpleQueue[int] = queue.SimpleQueue()
    capture = Capture(
        frames(5, Fraction(60)), lambda frame: passed.put(frame.pts), ended.put, CLOCK
    )
    capture.start()
    assert passed.get(timeout=60) == 0
    start = CLOCK.now()
    capture.close()
    assert CLOCK.now() - start < 30
    assert ended.get(timeout=0) is None
    assert passed.empty()


def test_what_ends_a_source_is_passed_on() -> None:
    def broken() -> Iterator[Frame]:
        yield Frame(PICTURE, 0, Fraction(1))
        raise InputError("expected a frame, found none")

    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    capture = Capture(broken(), lambda _: None, ended.put, CLOCK)
    capture.start()
    assert isinstance(ended.get(timeout=60), InputError)
    capture.close()
