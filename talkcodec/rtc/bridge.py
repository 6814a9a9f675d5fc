# SPDX-License-Identifier: Apache-2.0
"""To and from any aiortc program: a receiver as tracks, and tracks as sources of a sender.

::

    picture, sound = ReconstructedTrack(), ReconstructedSound()
    receiver = Receiver(picture.show, play=sound.play)
    other_connection.addTrack(picture)            # in place of the track of a camera
    other_connection.addTrack(sound)

    with TrackFrames(camera_track) as frames:     # of any aiortc connection or player
        Capture(frames, sender.put, done, clock, begin=LIVE).start()

aiortc's queues have no bound. Nothing here waits in them: a track that is read too slowly gives
the newest picture, and what a source is read too slowly for is dropped, oldest first.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import BLOCK, RATE, SoundBlock, audio_frame, mono
from talkcodec.rtc.mailbox import Mailbox
from talkcodec.types import Frame

_VIDEO_CLOCK = 90_000

#: Blocks of sound, 20 ms each, that wait for a reader; the oldest is dropped beyond.
SOUND_WAITING = 10

#: Seconds that aiortc's jitter buffer keeps sound: four packets and the one under way.
SOUND_LATENCY = 0.1

In = TypeVar("In", av.VideoFrame, av.AudioFrame)
Out = TypeVar("Out", Frame, SoundBlock)


class _Output(MediaStreamTrack, Generic[In]):
    """A track of what is given to ``_offer``. Make it inside a running event loop."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.dropped = 0
        self._loop_of_track = asyncio.get_running_loop()
        self._capacity = capacity
        self._held: deque[In] = deque()
        self._come = asyncio.Event()
        self._last = -1

    def _offer(self, item: In) -> None:
        """Give ``item`` to whoever reads, from any thread; one that waits too long gives way."""
        self._loop_of_track.call_soon_threadsafe(self._keep, item)

    def _keep(self, item: In) -> None:
        if len(self._held) == self._capacity:
            self._held.popleft()
            self.dropped += 1
        self._held.append(item)
        self._come.set()

    async def _take(self) -> In:
        while not self._held:
            if self.readyState != "live":
                raise MediaStreamError
            self._come.clear()
            await self._come.wait()
        return self._held.popleft()

    def stop(self) -> None:
        """End the track; a reader that waits is told."""
        super().stop()
        self._come.set()

    def _stamped(self, frame: In) -> In:
        """Return ``frame``, stamped later than the one before: concealed sound may go back."""
        self._last = max(frame.pts or 0, self._last + 1)
        frame.pts = self._last
        return frame


class ReconstructedTrack(_Output[av.VideoFrame]):
    """What a receiver draws, as a video track: one reader, and only the newest picture waits.

    ``dropped``: pictures that another one replaced before they were read.
    """

    kind = "video"

    def __init__(self) -> None:
        super().__init__(1)

    def show(self, frame: ShownFrame) -> None:
        """Give ``frame`` to whoever reads the track; from any thread."""
        # Converted here: aiortc's encoders would do it on the event loop, its recorder not at all.
        shown = av.VideoFrame.from_ndarray(frame.picture, format="rgb24").reformat(format="yuv420p")
        shown.pts, shown.time_base = round(frame.time * _VIDEO_CLOCK), Fraction(1, _VIDEO_CLOCK)
        self._offer(shown)

    async def recv(self) -> av.VideoFrame:
        return self._stamped(await self._take())


class ReconstructedSound(_Output[av.AudioFrame]):
    """What a receiver plays, as an audio track for one reader; ten blocks of 20 ms wait at most.

    ``dropped``: blocks, oldest first, that were not read in time.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__(SOUND_WAITING)

    def play(self, block: SoundBlock) -> None:
        """Give ``block`` to whoever reads the track; from any thread."""
        frame = audio_frame(block.samples, round(block.time * RATE))
        frame.time_base = Fraction(1, RATE)
        self._offer(frame)

    async def recv(self) -> av.AudioFrame:
        return self._stamped(await self._take())


class _Input(Generic[Out]):
    """Iterates, on a thread of the caller's, over what a track brings. Make it on the loop.

    A task takes everything that the track has at once, so that nothing waits in aiortc's queue.
    """

    def __init__(self, track: MediaStreamTrack, capacity: int) -> None:
        self._track = track
        self._box: Mailbox[Any] = Mailbox(capacity)
        self._task = asyncio.get_running_loop().create_task(self._read())

    @property
    def dropped(self) -> int:
        """Pieces that nobody took in time, oldest first."""
        return self._box.dropped

    def __iter__(self) -> Iterator[Out]:
        """Yield until the track ends or ``close`` is called."""
        while not self._box.closed:
            item = self._box.take()
            if item is not None:
                yield from self._convert(item)

    def close(self) -> None:
        """Read no more and end the iteration; on the event loop's thread."""
        self._task.cancel()
        self._box.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _convert(self, item: Any) -> Iterator[Out]:
        """Yield what a frame of aiortc's is to us; on the reader's thread."""

    async def _read(self) -> None:
        try:
            while True:
                self._box.put(await self._track.recv())
        except MediaStreamError:
            pass
        finally:
            self._box.close()


class TrackFrames(_Input[Frame]):
    """A sender's source of the pictures of any aiortc video track; one waits at most."""

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__(track, 1)
        self._first: int | None = None

    def _convert(self, item: Any) -> Iterator[Frame]:
        if item.pts is None or item.time_base is None:
            return
        self._first = item.pts if self._first is None else self._first
        picture = np.ascontiguousarray(item.to_ndarray(format="rgb24"))
        base = Fraction(item.time_base.numerator, item.time_base.denominator)
        yield Frame(picture, item.pts - self._first, base)


class TrackSound(_Input[SoundBlock]):
    """A sender's source of the sound of any aiortc audio track.

    ``latency``: what to tell ``Sender.put_sound``.
    """

    latency = SOUND_LATENCY

    def __init__(self, track: MediaStreamTrack) -> None:
        super().__init__(track, SOUND_WAITING)
        self._resampler = av.AudioResampler("s16", "mono", RATE, frame_size=BLOCK)
        self._begin: float | None = None

    def _convert(self, item: Any) -> Iterator[SoundBlock]:
        for frame in self._resampler.resample(item):
            time = float(frame.time or 0.0)
            self._begin = time if self._begin is None else self._begin
            yield SoundBlock(mono(frame), time - self._begin)
