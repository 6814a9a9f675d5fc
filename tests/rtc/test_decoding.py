# SPDX-License-Identifier: Apache-2.0
"""What waits in front of and behind a decoding thread, on times that the test chooses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiortc.codecs import CODECS
from aiortc.jitterbuffer import JitterFrame

from talkcodec.clock import ManualClock
from talkcodec.rtc.decoding import (
    LOGGED,
    RATES,
    WAITING,
    DecoderQueue,
    LineKind,
    NewestFrames,
    Seldom,
)
from talkcodec.rtc.limits import Rate

if TYPE_CHECKING:
    from talkcodec.rtc.decoding import Task

KEY, OTHER = b"\x10\x02\x00\x9d\x01\x2a", b"\x11\x02\x00\x9d\x01\x2a"
ANY = Rate(1e6, 1e6)


class Queue:
    """A queue, what is put into it by number, and how often a key picture was asked for."""

    def __init__(self, kind: LineKind, rate: Rate | None = ANY) -> None:
        self.asked = 0
        self.clock = ManualClock()
        self.held = DecoderQueue(kind, self._ask, self.clock, rate)
        self._codec = CODECS[kind][0]

    def _ask(self) -> None:
        self.asked += 1

    def put(self, number: int, begin: bytes = OTHER) -> None:
        self.held.put(self.task(begin + number.to_bytes(4, "big")))

    def task(self, data: bytes) -> Task:
        return self._codec, JitterFrame(data, 0)

    def take(self) -> list[int]:
        found = [self.held.get() for _ in range(len(self.held))]
        return [int.from_bytes(task[1].data[-4:], "big") for task in found if task is not None]


def test_of_sound_the_newest_waits() -> None:
    queue = Queue("audio")
    for number in range(WAITING + 7):
        queue.put(number, b"")
    assert queue.held.dropped == 7
    assert queue.take() == list(range(7, WAITING + 7))
    assert queue.asked == 0


def test_pictures_that_find_no_room_are_dropped_up_to_a_key_picture_asked_for_once() -> None:
    queue = Queue("video")
    queue.put(0, KEY)
    for number in range(1, WAITING + 30):
        queue.put(number)
    assert queue.asked == 1
    assert queue.take() == list(range(WAITING))
    queue.put(500)  # goes on from one that was dropped
    assert len(queue.held) == 0
    queue.put(501, KEY)
    queue.put(502)
    assert queue.take() == [501, 502]
    assert queue.held.dropped == 31


def test_a_key_picture_that_finds_no_room_takes_that_of_those_before_it() -> None:
    queue = Queue("video")
    for number in range(10 * WAITING):
        queue.put(number, KEY)
        assert 1 <= len(queue.held) <= WAITING
    assert queue.asked == 0
    assert queue.take()[-1] == 10 * WAITING - 1


def test_what_comes_too_fast_is_not_decoded() -> None:
    for kind in RATES:
        queue, seconds = Queue(kind, rate=None), 10
        taken = 0
        for number in range(seconds * 1000):
            queue.put(number, KEY)
            taken += len(queue.take())
            queue.clock.advance(1e-3)
        assert taken <= RATES[kind].burst + seconds * RATES[kind].per_second
        assert taken + queue.held.dropped == seconds * 1000
        assert queue.asked <= taken


def test_a_sender_of_ours_loses_nothing() -> None:
    queue = Queue("video", rate=None)
    for number in range(600):
        queue.put(number, OTHER if number % 150 else KEY)
        queue.clock.advance(1 / 60)
        assert queue.take() == [number]
    assert queue.held.dropped == 0


def test_the_end_comes_before_what_waits() -> None:
    queue = Queue("video")
    queue.put(0, KEY)
    queue.held.put(None)
    queue.put(1, KEY)
    assert queue.held.get() is None
    assert len(queue.held) == 0


async def test_frames_that_nobody_takes_give_way_to_newer_ones() -> None:
    frames = NewestFrames()
    for number in range(WAITING + 5):
        await frames.put(number)
    await frames.put(None)  # the end is among the newest
    left = [frames.get_nowait() for _ in range(frames.qsize())]
    assert left == [*range(6, WAITING + 5), None]
    assert frames.dropped == 6


def test_what_cannot_be_decoded_fills_no_log() -> None:
    seldom = Seldom()
    record = logging.LogRecord("aiortc", logging.WARNING, __file__, 1, "no picture", None, None)
    passed = 0
    for number in range(100_000):
        record.created = number / 100
        passed += seldom.filter(record)
    assert passed <= LOGGED.burst + 1000 * LOGGED.per_second
    logger = logging.getLogger("aiortc.rtcrtpreceiver")
    assert any(isinstance(each, Seldom) for each in logger.filters)
