# SPDX-License-Identifier: Apache-2.0
"""Decoding and showing on time, with real packets of the built-in portrait."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import av
import numpy as np
import pytest

from receiver.screen import WAITING, Screen
from talkcodec.clock import ManualClock, Stopwatch
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sources import builtin_source
from talkcodec.types import Packet


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    """Header, reference and motion of about a second, in the encoder's order."""
    encoder = Encoder(EncoderConfig(startup=0.0))
    made = [encoder.header()]
    for frame in builtin_source(1.2):
        made += encoder.encode(frame)
    return made + encoder.flush()


class Slow(Stopwatch):
    """Lets drawing take its time."""

    def __init__(self, clock: ManualClock, drawing: float) -> None:
        super().__init__(clock)
        self.clock, self.drawing = clock, drawing

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        with super().stage(name):
            self.clock.advance(self.drawing if name == "draw" else 0.0)
            yield


class Room:
    """A screen, and what it did."""

    def __init__(self, drawing: float = 0.0) -> None:
        self.clock = ManualClock()
        self.shown: list[ShownFrame] = []
        self.banked: list[int] = []
        self.stuck = 0
        self.screen = Screen(
            self.shown.append,
            self.banked.append,
            self.get_stuck,
            stopwatch=Slow(self.clock, drawing),
            clock=self.clock,
        )

    def get_stuck(self) -> None:
        self.stuck += 1

    def take(self, data: bytes) -> None:
        self.screen.take(data, self.clock.now())

    def wait(self, seconds: float) -> None:
        """Let time pass, looking as often as the screen asks for."""
        end = self.clock.now() + seconds
        while True:
            self.screen.draw_due()
            patience = self.screen.patience()
            left = end - self.clock.now()
            if patience is None or patience > left:
                self.clock.advance(max(left, 0.0))
                return
            self.clock.advance(patience + 1e-6)


def ticks(room: Room) -> list[int]:
    return [frame.tick for frame in room.shown]


def test_every_frame_is_shown_in_order(packets: list[Packet]) -> None:
    room = Room()
    for packet in packets:
        room.take(packet.data)
        if packet.kind == "motion":
            room.wait(0.12)
    room.wait(1.0)
    assert len(room.shown) >= 25
    assert ticks(room) == list(range(room.shown[0].tick, room.shown[-1].tick + 1))
    assert room.shown[0].picture.shape == (256, 256, 3)
    assert room.banked == list(range(len(room.banked)))
    assert room.screen.freezes.freezes == 0
    assert room.screen.held == tuple(room.banked)


def test_what_drawing_takes_is_told_however_long_it_is(packets: list[Packet]) -> None:
    room = Room(drawing=0.09)
    for packet in packets:
        room.take(packet.data)
        if packet.kind == "motion":
            room.wait(0.12)
    room.wait(1.0)
    # It converges by an eighth of the difference a picture.
    assert room.screen.draw_time == pytest.approx(0.09 * (1 - (7 / 8) ** len(room.shown)))


def test_motion_waits_for_its_reference_within_bounds(packets: list[Packet]) -> None:
    room = Room()
    header = packets[0]
    references = [packet for packet in packets if packet.kind == "reference"]
    motion = [packet for packet in packets if packet.kind == "motion"]
    room.take(header.data)
    late = motion[: WAITING + 1]
    for packet in late:
        room.take(packet.data)
    assert room.screen.counts.unready == WAITING + 1
    assert room.screen.counts.forgotten == 1
    assert room.screen.patience() is None
    for packet in references:
        room.take(packet.data)
    assert room.screen.patience() is not None
    room.wait(2.0)
    assert room.shown


def test_packets_that_are_none_are_counted_and_change_nothing(packets: list[Packet]) -> None:
    room = Room()
    rng = random.Random(0)
    for packet in packets:
        room.take(b"")
        room.take(rng.randbytes(40))
        room.take(packet.data)
        if packet.kind == "motion":
            room.wait(0.12)
    room.wait(1.0)
    assert room.screen.counts.invalid >= len(packets)
    assert len(room.shown) >= 25


def test_a_broken_reference_asks_for_help(packets: list[Packet]) -> None:
    room = Room()
    room.take(packets[0].data)
    room.take(packets[1].data[:40])
    assert room.stuck == 1
    assert room.banked == []


def test_a_frame_that_did_not_come_is_shown_as_made_up(packets: list[Packet]) -> None:
    room = Room()
    motion = [packet for packet in packets if packet.kind == "motion"]
    for packet in packets:
        if packet is motion[4]:
            continue
        room.take(packet.data)
        if packet.kind == "motion":
            room.wait(0.12)
    room.wait(0.1)
    made_up = {frame.tick for frame in room.shown if frame.made_up}
    assert made_up >= set(range(motion[4].tick, motion[5].tick))
    fresh = [frame.tick for frame in room.shown if not frame.made_up]
    assert set(fresh).isdisjoint(range(motion[4].tick, motion[5].tick))
    assert len(fresh) == len(set(fresh))


def picture(tick: int) -> av.VideoFrame:
    """A grey picture of ordinary video, decoded from nowhere but of the right kind."""
    grey = np.full((64, 64, 3), tick % 256, np.uint8)
    return av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")


def test_video_takes_over_and_gives_back_by_tick(packets: list[Packet]) -> None:
    room = Room()
    motion = [packet for packet in packets if packet.kind == "motion"]
    for packet in packets[: packets.index(motion[3])]:
        room.take(packet.data)
        room.wait(0.12 if packet.kind == "motion" else 0.0)
    # Motion stops without a word; pictures come a tenth of a second later than motion did.
    room.wait(0.1)
    first = motion[3].tick
    for tick in range(first, motion[6].tick):
        room.screen.picture(tick, picture(tick), room.clock.now())
        room.wait(0.04)
    for packet in packets[packets.index(motion[6]) :]:
        room.take(packet.data)
        room.wait(0.12 if packet.kind == "motion" else 0.0)
    room.wait(1.0)
    modes = [mode for mode, _ in groupby(frame.mode for frame in room.shown)]
    assert modes == ["motion", "video", "motion"]
    assert room.screen.counts.switches == 2
    video = [frame for frame in room.shown if frame.mode == "video"]
    assert {frame.picture.shape for frame in video} == {(256, 256, 3)}
    assert all(abs(int(frame.picture.mean()) - frame.tick) <= 3 for frame in video)
    assert not any(frame.synthesised for frame in video)
    # Only where pictures were made up for late ones does time go back, to what came.
    came = ticks(room)[-len(video) - 10 :]
    assert came == list(range(came[0], came[0] + len(came)))
    assert [frame.tick for frame in video] == list(range(first, motion[6].tick))
    assert room.screen.freezes.longest < 0.3


def test_video_before_the_header_and_giants_are_dropped(packets: list[Packet]) -> None:
    room = Room()
    room.screen.picture(0, picture(0), 0.0)
    room.take(packets[0].data)
    giant = av.VideoFrame(4096, 64, "yuv420p")
    room.screen.picture(1, giant, 0.0)
    room.wait(1.0)
    assert room.shown == []
    assert room.screen.counts.early == 2
    assert room.screen.counts.pictures == 2
