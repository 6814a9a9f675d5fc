# SPDX-License-Identifier: Apache-2.0
"""Pictures of ordinary video, placed in time as soon as that is possible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from types import SimpleNamespace

import av

from talkcodec.bitstream.control import ModeChange
from talkcodec.clock import ManualClock
from talkcodec.rtc.incoming import Incoming
from talkcodec.rtc.marks import stamp, video_step

RATE = Fraction(25)


class PicturesOnly:
    """A line of which no connection is behind the pictures."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[av.VideoFrame] = asyncio.Queue()
        self.listening = False

    def listen(self, *, on: bool) -> None:
        self.listening = on

    async def frames(self) -> AsyncIterator[av.VideoFrame]:
        while True:
            yield await self.queue.get()
            self.queue.task_done()

    async def bring(self, tick: int) -> None:
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = stamp(tick, video_step(RATE))
        self.queue.put_nowait(frame)
        await self.queue.join()


async def test_a_header_that_is_decoded_after_the_last_message_places_what_comes() -> None:
    line, ticks, known = PicturesOnly(), list[int](), list[Fraction]()
    incoming = Incoming(
        lambda tick, _frame: ticks.append(tick),
        None,
        lambda: known[0] if known else None,
        ManualClock(),
    )
    incoming.attach(SimpleNamespace(video=line, sound=None))  # type: ignore[arg-type]
    incoming.note(ModeChange("video", 0))
    assert line.listening
    await line.bring(0)
    assert (ticks, incoming.unplaced) == ([], 1)
    known.append(RATE)
    await line.bring(1)
    await line.bring(2)
    assert len(ticks) == 2
    assert ticks[1] == ticks[0] + 1
    await incoming.close()


async def test_a_mode_told_again_long_after_does_not_move_the_pictures() -> None:
    first, second, clock = PicturesOnly(), PicturesOnly(), ManualClock()
    ticks: list[int] = []
    incoming = Incoming(lambda tick, _frame: ticks.append(tick), None, lambda: RATE, clock)
    incoming.attach(SimpleNamespace(video=first, sound=None))  # type: ignore[arg-type]
    incoming.note(ModeChange("video", 50))
    for tick in range(50, 250):
        await first.bring(tick)
        clock.advance(float(1 / RATE))
    incoming.attach(SimpleNamespace(video=second, sound=None))  # type: ignore[arg-type]
    incoming.note(ModeChange("video", 50))
    for tick in range(250, 270):
        await second.bring(tick)
        clock.advance(float(1 / RATE))
    assert ticks == list(range(50, 270))
    await incoming.close()
