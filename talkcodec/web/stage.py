# SPDX-License-Identifier: Apache-2.0
"""Between a page and a call: camera and microphone to a sender, pictures and sound back.

Pages and calls come and go independently: a page may be loaded again during a call, and has a
picture before and after one. Times of each side are moved so that they always go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2
import numpy as np

from sender import LIVE, Capture, Sender
from talkcodec.clock import Clock
from talkcodec.errors import TalkcodecError
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import SoundBlock
from talkcodec.rtc.bridge import SOUND_LATENCY
from talkcodec.rtc.browser import BrowserPeer
from talkcodec.types import U8, Frame


class _Shift:
    """Moves times so that the first is now, on a time that began at ``begin`` of the clock."""

    def __init__(self, begin: float, clock: Clock) -> None:
        self._begin = begin
        self._clock = clock
        self._by: float | None = None
        self._lock = threading.Lock()

    def by(self, time: float) -> float:
        """Return the seconds to add to ``time``; the same for all after the first."""
        with self._lock:
            if self._by is None:
                self._by = self._clock.now() - self._begin - time
            return self._by


@dataclass(frozen=True, slots=True)
class _Call:
    """What is fed, since when, and how times of its two inputs and of its output move."""

    sender: Sender
    begin: float
    frames: _Shift
    heard: _Shift


class Stage:
    """Make it inside a running event loop. Captures run on threads of their own.

    ``tell`` is given, on the event loop, what made a camera or microphone end before its time.
    """

    def __init__(self, clock: Clock, tell: Callable[[str], None] = lambda _: None) -> None:
        self._clock = clock
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._born = clock.now()
        self._peer: BrowserPeer | None = None
        self._captures: list[Capture[Frame] | Capture[SoundBlock]] = []
        self._call: _Call | None = None
        self._out = _Shift(self._born, clock)
        self._size: tuple[int, int] | None = None

    async def open(self, offer: str) -> str:
        """Connect with a page, in place of the one before; return our description.

        Raises:
            TalkcodecError: the page's description is none.
        """
        await self.close()
        peer = BrowserPeer()
        try:
            answer = await peer.answer(offer)
        except BaseException:
            await peer.close()
            raise
        self._peer, self._size = peer, None
        if self._call is not None:
            self._call = self._fresh(self._call.sender, self._call.begin)
        self._out = _Shift(self._born, self._clock)
        if peer.frames is not None:
            frames = Capture(peer.frames, self._see, self._done, self._clock, begin=LIVE)
            self._captures.append(frames)
        if peer.heard is not None:
            heard = Capture(peer.heard, self._hear, self._done, self._clock, begin=LIVE)
            self._captures.append(heard)
        for capture in self._captures:
            capture.start()
        return answer

    def attach(self, sender: Sender) -> None:
        """Feed ``sender`` from now on."""
        self._call = self._fresh(sender, self._clock.now())
        self._out = _Shift(self._born, self._clock)

    def detach(self) -> None:
        """Feed nobody."""
        self._call = None

    def show(self, frame: ShownFrame) -> None:
        """Show ``frame`` in the page, if there is one; from any thread."""
        peer = self._peer
        if peer is not None:
            peer.picture.show(replace(frame, time=frame.time + self._out.by(frame.time)))

    def play(self, block: SoundBlock) -> None:
        """Play ``block`` in the page, if there is one; from any thread."""
        peer = self._peer
        if peer is not None:
            peer.sound.play(SoundBlock(block.samples, block.time + self._out.by(block.time)))

    async def close(self) -> None:
        """Part from the page; may be called again."""
        peer, self._peer = self._peer, None
        captures, self._captures = self._captures, []
        if peer is not None:
            await peer.close()  # ends what the captures wait for
        for capture in captures:
            await asyncio.to_thread(capture.close)

    def _fresh(self, sender: Sender, begin: float) -> _Call:
        return _Call(sender, begin, _Shift(begin, self._clock), _Shift(begin, self._clock))

    # The captures' threads.

    def _see(self, frame: Frame) -> None:
        call = self._call
        if call is None:
            return
        shift = call.frames.by(float(frame.time))
        pts = frame.pts + round(shift / frame.time_base)
        with suppress(TalkcodecError):  # the call has just ended
            call.sender.put(Frame(self._sized(frame.picture), pts, frame.time_base))

    def _hear(self, block: SoundBlock) -> None:
        call = self._call
        if call is None:
            return
        moved = SoundBlock(block.samples, block.time + call.heard.by(block.time))
        with suppress(TalkcodecError):
            call.sender.put_sound(moved, SOUND_LATENCY)

    def _done(self, failure: Exception | None) -> None:
        # Without a failure the page went, which the server knows before us.
        if failure is not None:
            self._loop.call_soon_threadsafe(self._tell, f"camera or microphone: {failure}")

    def _sized(self, picture: U8) -> U8:
        """Return ``picture`` at the size of the page's first: browsers send smaller ones when the
        machine is busy, and a new size would look like a face that moved.
        """
        height, width = picture.shape[:2]
        self._size = self._size or (width, height)
        if self._size == (width, height):
            return picture
        return np.asarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_LINEAR), np.uint8)
