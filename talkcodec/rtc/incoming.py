# SPDX-License-Identifier: Apache-2.0
"""Takes sound and ordinary video off a connection's lines, and says what each piece is.

aiortc queues what it decodes without bound; a task for each line takes everything at once, and
what is not wanted then is dropped here: nothing can pile up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from talkcodec.bitstream.control import ModeChange, Mute, SoundTime
from talkcodec.clock import Clock
from talkcodec.media.sound import I16, RATE, mono
from talkcodec.rtc.marks import SOUND_STEP, MarkReader, video_step

if TYPE_CHECKING:
    import av

    from talkcodec.rtc.call import Call
    from talkcodec.rtc.duplex import Notice
    from talkcodec.rtc.lines import Line


class Incoming:
    """All methods belong to the event loop's thread.

    ``on_picture`` is called with the tick and the picture, ``on_sound`` with the number of a packet
    and its samples (N,), int16. ``tick_rate`` tells the ticks a second, None before they are known,
    and is asked with every picture: where no face is, the header may be the last packet for long.
    ``unplaced``: pieces dropped because nothing was known of their time yet.
    """

    def __init__(
        self,
        on_picture: Callable[[int, av.VideoFrame], None],
        on_sound: Callable[[int, I16], None] | None,
        tick_rate: Callable[[], Fraction | None],
        clock: Clock,
    ) -> None:
        self.unplaced = 0
        self._clock = clock
        self._tick_rate = tick_rate
        self._on_picture = on_picture
        self._on_sound = on_sound
        self._call: Call | None = None
        self._mode: ModeChange | None = None
        self._tick: _Told | None = None
        self._packet: _Told | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def attach(self, call: Call) -> None:
        """Take from the lines of ``call``'s present connection, and from no other."""
        for task in self._tasks:
            task.cancel()
        self._call = call
        self._tasks = []
        self._tasks.append(asyncio.create_task(self._read_video(call.video)))
        if self._on_sound is not None:
            self._tasks.append(asyncio.create_task(self._read_sound(call.sound)))

    def note(self, notice: Notice) -> None:
        """Take what the other side told of its media."""
        if isinstance(notice, ModeChange):
            if self._mode is not None and notice.tick < self._mode.tick:
                return
            # One told again, in case it was lost, was true when it was told first.
            news = notice != self._mode
            self._mode = notice
            line, on = self._call.video if self._call else None, notice.mode == "video"
            if on and news:
                self._tick = _Told(notice.tick, self._clock.now())
        else:
            line, on = self._call.sound if self._call else None, not isinstance(notice, Mute)
            if isinstance(notice, SoundTime):
                self._packet = _Told(notice.packet, self._clock.now())
        if line is not None:
            line.listen(on=on)

    @property
    def mode(self) -> ModeChange | None:
        """The newest mode that the other side told of."""
        return self._mode

    async def close(self) -> None:
        """Take nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read_video(self, line: Line) -> None:
        numbering: _Numbering | None = None
        async for frame in line.frames():
            rate = self._tick_rate()
            if frame.pts is None or rate is None or self._tick is None:
                self.unplaced += 1
                continue
            if numbering is None:
                first = self._tick.now(self._clock, float(rate))
                numbering = _Numbering(video_step(rate), first)
            self._on_picture(numbering.number(frame.pts), frame)

    async def _read_sound(self, line: Line) -> None:
        numbering: _Numbering | None = None
        async for frame in line.frames():
            if frame.pts is None or self._packet is None or self._on_sound is None:
                self.unplaced += 1
                continue
            if numbering is None:
                first = self._packet.now(self._clock, RATE / SOUND_STEP)
                numbering = _Numbering(SOUND_STEP, first)
            self._on_sound(numbering.number(frame.pts), mono(frame))


@dataclass(frozen=True, slots=True)
class _Told:
    """``number`` was the newest ``at`` a time."""

    number: int
    at: float

    def now(self, clock: Clock, rate: float) -> int:
        """Return the newest by now, ``rate`` a second."""
        return self.number + int((clock.now() - self.at) * rate)


class _Numbering:
    """A reader of marks, and about which number the first piece had."""

    def __init__(self, step: int, first: int) -> None:
        self._reader = MarkReader(step)
        self._first = first

    def number(self, pts: int) -> int:
        return self._reader.number(pts, self._first)
