# SPDX-License-Identifier: Apache-2.0
"""Tracks of any aiortc program, in both directions."""

from __future__ import annotations

import asyncio
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import AudioStreamTrack, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError

from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import BLOCK, SoundBlock, mono, tone
from talkcodec.rtc.bridge import (
    SOUND_WAITING,
    ReconstructedSound,
    ReconstructedTrack,
    TrackFrames,
    TrackSound,
)


def shown(tick: int) -> ShownFrame:
    return ShownFrame(np.full((64, 64, 3), tick, np.uint8), tick, tick / 25)


async def test_a_slow_reader_of_pictures_gets_the_newest() -> None:
    track = ReconstructedTrack()
    for tick in range(5):
        track.show(shown(tick))
    await asyncio.sleep(0)
    frame = await track.recv()
    assert frame.pts is not None
    assert frame.time_base is not None
    assert frame.pts * frame.time_base == Fraction(4, 25)
    assert abs(int(frame.to_ndarray(format="rgb24").mean()) - 4) <= 2
    assert track.dropped == 4


async def test_pictures_come_from_any_thread_with_growing_times() -> None:
    track = ReconstructedTrack()
    times = []
    for tick in (3, 4, 4, 2, 8):
        thread = threading.Thread(target=track.show, args=(shown(tick),))
        thread.start()
        frame = await asyncio.wait_for(track.recv(), 60)
        thread.join()
        times.append(frame.pts)
    assert times == [3 * 3600, 4 * 3600, 4 * 3600 + 1, 4 * 3600 + 2, 8 * 3600]
    assert track.dropped == 0


async def test_sound_waits_a_little_and_no_more() -> None:
    track = ReconstructedSound()
    blocks = list(tone(0.5))
    for block in blocks:
        track.play(block)
    await asyncio.sleep(0)
    assert track.dropped == len(blocks) - SOUND_WAITING
    frames = [await track.recv() for _ in range(SOUND_WAITING)]
    assert [frame.pts for frame in frames] == [n * BLOCK for n in range(15, 25)]
    assert all(frame.sample_rate == 48_000 for frame in frames)
    np.testing.assert_array_equal(mono(frames[-1]), blocks[-1].samples)


async def test_a_track_that_is_stopped_tells_its_reader() -> None:
    for track in (ReconstructedTrack(), ReconstructedSound()):
        reading = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        track.stop()
        with pytest.raises(MediaStreamError):
            await asyncio.wait_for(reading, 60)


class Clip(VideoStreamTrack):
    """Pictures as fast as they are taken; then the end."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    async def recv(self) -> av.VideoFrame:
        if not self.count:
            raise MediaStreamError
        self.count -= 1
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = 90_000 - 3600 * self.count, Fraction(1, 90_000)
        return frame


async def test_pictures_of_a_track_are_frames_counted_from_the_first() -> None:
    with TrackFrames(Clip(1)) as source:
        frames = await asyncio.to_thread(lambda: list(source))
    assert [(frame.picture.shape, frame.time) for frame in frames] == [((48, 64, 3), Fraction(0))]


async def test_nothing_piles_up_for_a_slow_reader() -> None:
    with TrackFrames(Clip(50)) as source:
        await asyncio.sleep(0.01)  # the task takes them all, whatever we do
        frames = await asyncio.to_thread(lambda: list(source))
    assert len(frames) == 1
    assert source.dropped == 49


async def test_sound_of_a_track_becomes_blocks_of_20_ms() -> None:
    def first(source: TrackSound) -> list[SoundBlock]:
        heard = iter(source)
        return [next(heard) for _ in range(4)]

    track = AudioStreamTrack()  # 8 kHz, silent, in real time
    with TrackSound(track) as source:
        blocks = await asyncio.to_thread(first, source)
    assert [len(block.samples) for block in blocks] == [BLOCK] * 4
    assert np.allclose(np.diff([block.time for block in blocks]), 0.02)
    track.stop()


async def test_closing_ends_a_reader_that_waits() -> None:
    class Still(VideoStreamTrack):
        async def recv(self) -> av.VideoFrame:
            await asyncio.Event().wait()
            raise MediaStreamError

    source = TrackFrames(Still())
    reading = asyncio.ensure_future(asyncio.to_thread(lambda: list(source)))
    await asyncio.sleep(0)
    source.close()
    assert await asyncio.wait_for(reading, 60) == []
