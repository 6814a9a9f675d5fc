# SPDX-License-Identifier: Apache-2.0
"""Telling what goes wrong by itself from what goes wrong because something was done."""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec.cli.journal import STEADY, Diary, Losses, Pictures
from talkcodec.clock import ManualClock
from talkcodec.media.sinks import ShownFrame

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Room:
    def __init__(self) -> None:
        self.clock = ManualClock(100.0)
        self.diary = Diary(self.clock)
        self.counts = {"groups": 0, "late": 7}
        self.pictures = Pictures(self.diary, self.clock, lambda: dict(self.counts))

    def show(self, tick: int, after: float = 0.04, *, made_up: bool = False) -> None:
        self.clock.advance(after)
        self.pictures.shown(ShownFrame(PICTURE, tick, tick / 25, "motion", made_up))


def test_every_frame_time_is_counted_once_however_often_it_is_shown() -> None:
    room = Room()
    for tick in range(10, 20):
        if tick not in {13, 14, 17}:
            room.show(tick)
        elif tick != 14:
            room.show(tick, made_up=True)
    room.show(13)  # came after all
    report = room.pictures.report(25.0)
    assert report["frame_times"] == 10
    assert (report["fresh"], report["made_up"], report["not_shown"]) == (8, 1, 1)
    assert report["per_second"] == pytest.approx(9 / 0.4, abs=0.05)


def test_a_freeze_has_its_cause_and_what_happened_meanwhile() -> None:
    room = Room()
    room.show(0)
    room.counts["groups"] += 3
    room.diary.late(0.15)
    room.show(8, 0.32)
    with room.diary.deed("mode"):
        room.show(20, 0.48)
    room.clock.advance(60.0)
    room.show(1800, 0.0)
    report = room.pictures.report(25.0)
    assert report["freezes_over_200ms"] == {STEADY: 1, "mode": 2}
    assert report["longest_freeze_ms"] == {STEADY: 320, "mode": 60_000}
    first = report["freezes"][0]
    assert (first["second"], first["ms"], first["cause"]) == (0.0, 320, STEADY)
    assert first["meanwhile"] == {"groups": 3, "loop_late": 150, "garbage": 0}
    # What follows long after is the deed's fault no more.
    room.clock.advance(3.0)
    room.show(1876, 0.0)
    room.show(1890, 0.5)
    assert room.pictures.freezes[STEADY] == 3


def test_the_list_of_freezes_is_bounded() -> None:
    room = Room()
    for tick in range(500):
        room.show(tick, 0.3)
    report = room.pictures.report(25.0)
    assert len(report["freezes"]) == 100
    assert report["freezes_over_200ms"] == {STEADY: 499}


def test_lost_sound_is_told_apart_by_what_was_done() -> None:
    clock = ManualClock(5.0)
    diary = Diary(clock)
    losses = Losses(diary, clock)
    losses.look(0)
    for concealed in (2, 3):
        clock.advance(0.05)
        losses.look(concealed)
    with diary.deed("reconnect"):
        clock.advance(0.5)
        losses.look(13)
    clock.advance(2.0)
    losses.look(13)
    clock.advance(2.0)
    losses.look(14)
    assert {n: c for n, c in losses.by_cause.items() if c} == {STEADY: 4, "reconnect": 10}


def test_a_pause_for_garbage_is_noted() -> None:
    room = Room()
    room.diary.garbage("start", {})
    room.clock.advance(0.03)
    room.diary.garbage("stop", {})
    assert room.diary.take() == {"loop_late": 0, "garbage": 30}
    assert room.diary.take() == {"loop_late": 0, "garbage": 0}
