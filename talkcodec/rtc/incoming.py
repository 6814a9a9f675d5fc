# SPDX-License-Identifier: Apache-2.0
"""Takes sound and ordinary video off a connection's lines, and says what each piece is.

aiortc queues what it decodes without bound; a task for each line takes everything at once, and
what is not wanted then is dropped here: nothing can pile up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from talkcodec.bitstream.control import ModeChange, Mute, SoundTime
from talkcodec.media.sound import I16, mono
from talkcodec.rtc.marks import SOUND_STEP, MarkReader, video_step

if TYPE_CHECKING:
    import av

    from talkcodec.rtc.call import Call
    from talkcodec.rtc.duplex import Notice
    from talkcodec.rtc.lines import Line


class Incoming:
    """All methods belong to the event loop's thread.

    ``on_picture`` is called with the tick and the picture, ``on_sound`` with the number of a packet
    and its samples (N,), int16. ``unplaced``: pieces dropped because nothing was known of their
    time yet.
    """

    def __init__(
        self,
        on_picture: Callable[[int, av.VideoFrame], None],
        on_sound: Callable[[int, I16], None] | None,
    ) -> None:
        self.unplaced = 0
        self.tick_rate: Fraction | None = None
        self._on_picture = on_picture
        self._on_sound = on_sound
        self._call: Call | None = None
        self._mode: ModeChange | None = None
        self._first_picture: int | None = None
        self._first_sound: int | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def attach(self, call: Call) -> None:
        """Take from the lines of ``call``'s present connection, and from no other."""
        for task in self._tasks:
            task.cancel()
        self._call = call
        self._first_picture = self._first_sound = None
        self._tasks = []
        self._tasks.append(asyncio.create_task(self._read_video(call.video)))
        if self._on_sound is not None:
            self._tasks.append(asyncio.create_task(self._read_sound(call.sound)))

    def note(self, notice: Notice) -> None:
        """Take what the other side told of its media."""
        if isinstance(notice, ModeChange):
            if self._mode is not None and notice.tick < self._mode.tick:
                return
            self._mode = notice
            line, on = self._call.video if self._call else None, notice.mode == "video"
            if on and self._first_picture is None:
                self._first_picture = notice.tick
        else:
            line, on = self._call.sound if self._call else None, not isinstance(notice, Mute)
            if isinstance(notice, SoundTime) and self._first_sound is None:
                self._first_sound = notice.packet
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
        reader: MarkReader | None = None
        async for frame in line.frames():
            if frame.pts is None or self.tick_rate is None or self._first_picture is None:
                self.unplaced += 1
                continue
            reader = reader or MarkReader(video_step(self.tick_rate))
            self._on_picture(reader.number(frame.pts, self._first_picture), frame)

    async def _read_sound(self, line: Line) -> None:
        reader = MarkReader(SOUND_STEP)
        async for frame in line.frames():
            if frame.pts is None or self._first_sound is None or self._on_sound is None:
                self.unplaced += 1
                continue
            self._on_sound(reader.number(frame.pts, self._first_sound), mono(frame))
