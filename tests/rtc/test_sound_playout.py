# SPDX-License-Identifier: Apache-2.0
"""Sound in time and in step with pictures, on a clock of the test's own."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from receiver.sound import Together
from talkcodec.clock import ManualClock
from talkcodec.media.sound import BLOCK, I16, SoundBlock
from talkcodec.rtc.playout import PlayoutBuffer
from talkcodec.rtc.soundplayout import SoundPlayout, SoundPlayoutConfig

STEP = 0.02
QUIET = np.zeros(BLOCK, np.int16)
LOUD = np.full(BLOCK, 8000, np.int16)


class Path:
    """Hands blocks to a playout after their transit, and plays every millisecond."""

    def __init__(self) -> None:
        self.clock = ManualClock(1000.0)
        self.playout = SoundPlayout()
        self.playout.set_time(0, 0.0)
        self.played: list[tuple[float, SoundBlock]] = []
        self.coming: list[tuple[float, int, I16]] = []

    def send(self, number: int, transit: float, samples: I16 = LOUD) -> None:
        self.coming.append((1000.0 + number * STEP + transit, number, samples))

    def run(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            now = self.clock.now()
            for item in [
                item for item in sorted(self.coming, key=lambda i: i[0]) if item[0] <= now
            ]:
                self.coming.remove(item)
                self.playout.push(item[1], item[2], now)
            block = self.playout.due(now)
            if block is not None:
                self.played.append((now, block))
            self.clock.advance(0.001)


def delays(path: Path, since: float = 0.0) -> list[float]:
    return [now - 1000.0 - block.time for now, block in path.played if block.time >= since]


def test_blocks_come_out_in_order_without_a_gap_whatever_the_jitter() -> None:
    path, rng = Path(), random.Random(1)
    for number in range(200):
        path.send(number, 0.03 + rng.uniform(0, 0.06))
    path.run(4.2)
    times = [block.time for _, block in path.played if block.time < 3.98]
    settled = [time for time in times if time > 1.0]
    assert np.allclose(np.diff(settled), STEP)
    assert path.playout.counts.concealed <= 15  # until the jitter is known, and after the end
    assert max(delays(path, 1.0)) < 0.13


def test_a_lost_block_is_made_up_from_the_one_before_and_fades() -> None:
    path = Path()
    for number in range(50):
        if number not in {30, 31}:
            path.send(number, 0.03)
    path.run(1.0)
    by_number = {round((block.time + 0.0065) / STEP): block for _, block in path.played}
    lost, second = by_number[30].samples, by_number[31].samples
    assert 0 < np.abs(lost).max() < 8000
    assert np.abs(second).max() < np.abs(lost).max()
    assert path.playout.counts.concealed == 2


def test_silence_of_a_mute_is_no_loss() -> None:
    path = Path()
    for number in range(40):
        if number != 20:
            path.send(number, 0.03)
    path.run(0.8)
    path.playout.mute()
    path.run(0.5)
    # Packets are numbered on through the mute; the first one after it is told of.
    path.playout.set_time(65, 65 * STEP)
    for number in range(65, 100):
        if number not in {70, 71}:
            path.send(number, 0.03)
    path.run(0.7)
    counts = path.playout.counts
    assert counts.concealed == 3
    assert counts.muted == 25
    assert counts.played - counts.concealed - counts.muted > 65


def test_what_lay_in_a_jitter_buffer_through_a_pause_changes_nothing() -> None:
    path = Path()
    for number in range(60):
        path.send(number, 0.03)
    for number in (56, 57, 58):
        path.send(number, 4.0)
    for number in range(260, 300):
        path.send(number, 0.03)
    path.run(6.2)
    assert max(delays(path)) < 0.1
    assert path.playout.counts.late >= 3


def test_a_path_that_became_longer_by_seconds_is_followed() -> None:
    path = Path()
    for number in range(60):
        path.send(number, 0.03)
    for number in range(60, 200):
        path.send(number, 2.0)
    path.run(6.5)
    late = [block for now, block in path.played if now > 1004.6 and block.time < 3.9]
    assert len(late) > 20
    assert all(np.abs(block.samples).max() == 8000 for block in late)


def test_a_source_that_stood_still_for_a_minute_is_heard_at_once_when_told_of() -> None:
    path = Path()
    for number in range(50):
        path.send(number, 0.03)
    path.run(1.2)
    # It goes on with the next number, a minute later.
    path.playout.set_time(50, 61.0)
    path.clock.advance(60.0)
    for number in range(50, 100):
        path.send(number, 60.03)
    path.run(1.2)
    late = [block for now, block in path.played if now > 1061.0]
    assert sum(np.abs(block.samples).max() == 8000 for block in late) >= 45
    assert abs(late[20].time - (61.0 + 20 * STEP)) < 0.1


def test_sound_without_a_time_is_not_played() -> None:
    playout = SoundPlayout()
    playout.push(0, LOUD, 1.0)
    assert playout.next_due() is None
    assert playout.due(2.0) is None
    assert playout.counts.late == 1


def test_what_waits_is_bounded() -> None:
    playout = SoundPlayout(SoundPlayoutConfig(capacity=8))
    playout.set_time(0, 0.0)
    for number in range(20):
        playout.push(number, LOUD, 1.0)
    assert len(playout) == 8
    assert playout.counts.overflowed == 12


@pytest.mark.parametrize(
    ("picture_transit", "sound_transit"), [(0.15, 0.03), (0.05, 0.2), (0.1, 0.1)]
)
def test_pictures_and_sound_stay_within_45_ms_of_each_other(
    picture_transit: float, sound_transit: float
) -> None:
    rng = random.Random(2)
    path, together = Path(), Together(0.3)
    pictures: PlayoutBuffer[int] = PlayoutBuffer(0.04)
    arrivals = [
        (1000.0 + tick * 0.04 + picture_transit + rng.uniform(0, 0.03), tick) for tick in range(250)
    ]
    for number in range(500):
        # Speech pauses now and then, and only there blocks may be left out.
        samples = QUIET if number % 50 > 40 else LOUD
        path.send(number, sound_transit + rng.uniform(0, 0.03), samples)
    shown: list[float] = []
    for _ in range(10_000):
        now = path.clock.now()
        while arrivals and arrivals[0][0] <= now:
            _, tick = arrivals.pop(0)
            pictures.push(tick, tick, now)
        together.pictures_need, together.picture_delay = pictures.needs, pictures.delay
        pictures.floor = together.picture_floor()
        due = pictures.due(now)
        if due is not None:
            shown.append(now - 1000.0 - due[0] * 0.04)
        path.playout.floor = together.sound_floor()
        path.run(0.001)
        together.sound_needs = path.playout.needs
    heard = delays(path, 3.0)[:-20]
    seen = shown[75:-5]
    assert abs(np.median(heard) - np.median(seen)) < 0.03
    assert max(heard) - min(seen) < 0.045
    assert max(seen) - min(heard) < 0.045


class Sounding:
    """Sound in packets of ``blocks``, and pictures in groups, over one path of 50 ms."""

    def __init__(self, group: int, blocks: Callable[[float], int], loss: float) -> None:
        rng = random.Random(3)
        self.path, self.together = Path(), Together(0.3)
        self.pictures: PlayoutBuffer[int] = PlayoutBuffer(0.04)
        self.seen: list[tuple[float, float]] = []
        self.arrivals: deque[tuple[float, int]] = deque()
        for first in range(0, 450, group):
            leaves = 1000.0 + (first + group - 1) * 0.04 + 0.03
            if rng.random() >= loss:
                came = leaves + 0.025 + rng.uniform(0, 0.02)
                self.arrivals.extend((came, first + place) for place in range(group))
        number = 0
        while number < 900:
            count = blocks(number * STEP)
            kept, jitter = rng.random() >= loss, rng.uniform(0, 0.02)
            for place in range(count if kept else 0):
                samples = QUIET if (number + place) % 50 > 40 else LOUD
                # All of a packet leaves when its last block has been heard.
                self.path.send(number + place, 0.025 + jitter + (count - place) * STEP, samples)
            number += count

    def run(self) -> None:
        for _ in range(17_000):
            now = self.path.clock.now()
            while self.arrivals and self.arrivals[0][0] <= now:
                tick = self.arrivals.popleft()[1]
                self.pictures.push(tick, tick, now)
            self.together.pictures_need = self.pictures.needs
            self.together.picture_delay = self.pictures.delay
            self.pictures.floor = self.together.picture_floor()
            due = self.pictures.due(now)
            if due is not None:
                self.seen.append((due[0] * 0.04, now - 1000.0 - due[0] * 0.04))
            self.path.playout.floor = self.together.sound_floor()
            self.path.run(0.001)
            self.together.sound_needs = self.path.playout.needs


@pytest.mark.parametrize("loss", [0.0, 0.05])
@pytest.mark.parametrize("group", [1, 2, 3, 4])
@pytest.mark.parametrize("blocks", [1, 3])
def test_lips_of_motion_are_within_45_ms_of_sound_whatever_packets_hold(
    group: int, blocks: int, loss: float
) -> None:
    call = Sounding(group, lambda _: blocks, loss)
    call.run()
    assert _apart(call, 4.0, 16.0) <= 0.045


@pytest.mark.parametrize("group", [2, 3])
def test_lips_and_sound_are_together_again_soon_after_packets_changed(group: int) -> None:
    call = Sounding(group, lambda time: 3 if 5.0 <= time < 11.0 else 1, 0.0)
    call.run()
    assert _apart(call, 3.0, 5.0) <= 0.045
    assert _apart(call, 7.0, 11.0) <= 0.045
    assert _apart(call, 14.0, 17.0) <= 0.045


def _apart(call: Sounding, begin: float, end: float) -> float:
    """Return how far apart picture and sound of one moment were at most, in seconds."""
    heard = [(block.time, now - 1000.0 - block.time) for now, block in call.path.played]
    apart = []
    for time, delay in call.seen:
        if begin <= time < end:
            nearest = min(heard, key=lambda each: abs(each[0] - time))
            apart.append(abs(delay - nearest[1]))
    assert len(apart) > 20
    return max(apart)
