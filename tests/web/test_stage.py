# SPDX-License-Identifier: Apache-2.0
"""Between a page and a call, with an aiortc program in the page's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from talkcodec.clock import SystemClock
from talkcodec.errors import TalkcodecError
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import BLOCK, RATE, SoundBlock
from talkcodec.rtc.bridge import ReconstructedSound, ReconstructedTrack
from talkcodec.types import Frame
from talkcodec.web.stage import Stage
from tests.rtc.waiting import until

PATIENCE = 60.0


class Listener:
    """What a sender is given, with no more of a sender than a stage sees."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.blocks: list[SoundBlock] = []
        self.over = False

    def put(self, frame: Frame) -> None:
        if self.over:
            raise TalkcodecError("expected a call, found it ended: of age")
        self.frames.append(frame)

    def put_sound(self, block: SoundBlock, latency: float) -> None:
        assert 0 < latency < 1
        self.blocks.append(block)


class Page:
    """The other end of the local connection: gives and takes as a browser does.

    ``rate``: pictures a second by its own clock; it gives 50 by ours.
    """

    def __init__(self, rate: int = 50) -> None:
        self._rate = rate
        config = RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.connection = RTCPeerConnection(config)
        self.camera, self.microphone = ReconstructedTrack(), ReconstructedSound()
        self.connection.addTrack(self.camera)
        self.connection.addTrack(self.microphone)
        self.seen: list[Any] = []
        self.heard: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.connection.on("track", self._given)

    async def open(self, stage: Stage) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await stage.open(self.connection.localDescription.sdp)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        self.tasks.append(asyncio.create_task(self._give()))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.connection.close()

    def _given(self, track: MediaStreamTrack) -> None:
        into = self.seen if track.kind == "video" else self.heard
        self.tasks.append(asyncio.create_task(self._take(track, into)))

    @staticmethod
    async def _take(track: MediaStreamTrack, into: list[Any]) -> None:
        try:
            while True:
                into.append(await track.recv())
        except MediaStreamError:
            pass

    async def _give(self) -> None:
        for number in range(10_000):
            level = 40 + number * 8 % 160
            # Browsers send smaller pictures when the machine is busy.
            side = 128 if number < 10 else 96
            self.camera.show(shown(level, number / self._rate, side))
            self.microphone.play(SoundBlock(np.full(BLOCK, 1000, np.int16), number * BLOCK / RATE))
            await asyncio.sleep(0.02)


def shown(level: int, time: float, side: int = 128) -> ShownFrame:
    return ShownFrame(np.full((side, side, 3), level, np.uint8), round(25 * time), time)


@asynccontextmanager
async def staged(rate: int = 50) -> AsyncIterator[tuple[Stage, Page]]:
    stage, page = Stage(SystemClock()), Page(rate)
    try:
        await page.open(stage)
        yield stage, page
    finally:
        await page.close()
        await stage.close()


def steps(times: list[float]) -> Iterator[float]:
    return (after - before for before, after in pairwise(times))


async def test_a_sender_is_fed_in_one_size_and_from_its_own_beginning() -> None:
    async with staged() as (stage, _):
        sender = Listener()
        stage.attach(sender)  # type: ignore[arg-type]
        await until(lambda: len(sender.frames) > 30 and len(sender.blocks) > 30)
        stage.detach()
        again = Listener()
        stage.attach(again)  # type: ignore[arg-type]
        await until(lambda: len(again.frames) > 3 and len(again.blocks) > 3)
        assert len({frame.picture.shape for frame in sender.frames}) == 1
        for each in (sender, again):
            times = [float(frame.time) for frame in each.frames]
            assert times[0] >= 0
            assert min(steps(times)) > 0
            assert min(steps([block.time for block in each.blocks])) > 0
        assert float(again.frames[0].time) < float(sender.frames[-1].time)


async def test_a_camera_whose_clock_runs_fast_is_not_waited_for() -> None:
    """The same is one whose first picture was late, as on a busy machine."""
    async with staged(rate=10) as (stage, _):
        sender = Listener()
        stage.attach(sender)  # type: ignore[arg-type]
        await until(lambda: bool(sender.frames))
        begin, first = SystemClock().now(), float(sender.frames[0].time)
        await until(lambda: len(sender.frames) > 40)
        assert float(sender.frames[-1].time) - first > SystemClock().now() - begin


async def test_a_page_that_is_loaded_again_goes_on_in_time() -> None:
    async with staged() as (stage, _):
        sender = Listener()
        stage.attach(sender)  # type: ignore[arg-type]
        await until(lambda: len(sender.frames) > 5)
        another, count = Page(), len(sender.frames)
        await another.open(stage)
        await until(lambda: len(sender.frames) > count + 10)
        assert min(steps([float(frame.time) for frame in sender.frames])) > 0
        await another.close()


async def test_the_page_shows_and_plays_the_call() -> None:
    async with staged() as (stage, page):
        for begin in (0.0, 5000.0, 10.0):  # calls have times of their own
            count, number = len(page.seen), 0
            stage.attach(Listener())  # type: ignore[arg-type]
            while len(page.seen) < count + 3 or len(page.heard) < 3:
                time = begin + number / 25
                stage.show(shown(200, time))
                stage.play(SoundBlock(np.zeros(BLOCK, np.int16), time))
                number += 1
                await asyncio.sleep(0.02)
                assert number < 50 * PATIENCE
            stage.detach()
        assert abs(float(page.seen[-1].to_ndarray(format="rgb24").mean()) - 200) < 12
        base = Fraction(1, 90_000)
        assert min(steps([float(frame.pts * base) for frame in page.seen])) > 0


async def test_a_call_that_has_ended_does_not_end_the_camera() -> None:
    async with staged() as (stage, _):
        sender = Listener()
        sender.over = True
        stage.attach(sender)  # type: ignore[arg-type]
        await until(lambda: len(sender.blocks) > 5)
        assert not sender.frames
        sender.over = False
        await until(lambda: len(sender.frames) > 3)
        assert len(sender.blocks) > 5


async def test_without_a_page_nothing_is_shown_and_nothing_fails() -> None:
    stage = Stage(SystemClock())
    stage.show(shown(0, 0.0))
    stage.play(SoundBlock(np.zeros(BLOCK, np.int16), 0.0))
    with pytest.raises(TalkcodecError, match="expected a session description"):
        await stage.open("v=0")
    await stage.close()
    await stage.close()
