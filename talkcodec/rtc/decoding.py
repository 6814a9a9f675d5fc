# SPDX-License-Identifier: Apache-2.0
"""Bounds around the thread in which aiortc decodes what a line brings.

aiortc queues without bound in front of the thread and behind it, and waits for the thread to get
through with all of it on the event loop. Here both queues are bounded, what waits is forgotten at
the end, and the thread ends by itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from talkcodec.clock import Clock, SystemClock
from talkcodec.rtc.assembly import CAPACITY, is_key
from talkcodec.rtc.limits import Rate, TokenBucket

if TYPE_CHECKING:
    from aiortc import RTCRtpReceiver
    from aiortc.jitterbuffer import JitterFrame
    from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters

    Task = tuple[RTCRtpCodecParameters, JitterFrame]

LineKind = Literal["audio", "video"]

#: Pieces that wait for the thread, and for whoever reads the track: all that one packet which came
#: late can complete at once.
WAITING = CAPACITY

#: Pictures and packets of sound that are decoded. Ours are as many as the sender's ticks, 30 or
#: 60 a second, and 50. A path that stood lets go of what it held at once.
RATES: dict[LineKind, Rate] = {"video": Rate(100.0, 150.0), "audio": Rate(100.0, 250.0)}

#: Lines that aiortc logs of what it cannot decode, over all connections: it has one a piece.
LOGGED = Rate(0.1, 5.0)

#: Seconds to wait for the thread, which has one piece in hand at most.
_PATIENCE = 2.0


class DecoderQueue:
    """What waits for a decoding thread: ``WAITING`` pieces at most. Any thread may use it.

    Full: of sound, what waited longest is dropped. A picture is dropped itself, and so are those
    that go on from it, up to a key picture, before which those that wait are dropped; ``ask`` is
    called to get one. Faster than ``rate``: the newest is dropped. ``dropped`` counts all of it.
    """

    def __init__(
        self, kind: LineKind, ask: Callable[[], None], clock: Clock, rate: Rate | None = None
    ) -> None:
        self.dropped = 0
        self._video = kind == "video"
        self._ask = ask
        self._clock = clock
        self._allowed = TokenBucket(rate or RATES[kind])
        self._items: deque[Task] = deque()
        self._changed = threading.Condition()
        self._barred = False
        self._ended = False

    def put(self, task: Task | None) -> None:
        """Add a codec and what it is to decode; None ends: nothing more is taken or handed out."""
        with self._changed:
            if task is None:
                self._ended = True
                self._items.clear()
            elif not self._ended and self._admits(task[1].data):
                self._items.append(task)
            self._changed.notify_all()

    def get(self) -> Task | None:
        """Wait for the oldest piece, or for the end, which is None."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._ended)
            return self._items.popleft() if self._items else None

    def __len__(self) -> int:
        """How many pieces wait."""
        return len(self._items)

    def __bool__(self) -> bool:
        return True  # a queue with nothing in it is a queue

    def _admits(self, data: bytes) -> bool:
        """Return whether ``data`` is to be added, for which there is room then."""
        key = self._video and is_key(data)
        if self._barred and not key:
            self.dropped += 1
            return False
        allowed, full = self._allowed.take(self._clock.now()), len(self._items) >= WAITING
        if allowed and full and not self._video:
            self._items.popleft()
            self.dropped += 1
        elif allowed and full and key:
            self.dropped += len(self._items)
            self._items.clear()
        elif full or not allowed:
            self._bar()
            self.dropped += 1
            return False
        self._barred = False
        return True

    def _bar(self) -> None:
        if self._video and not self._barred:
            self._barred = True
            self._ask()


class NewestFrames(asyncio.Queue[Any]):
    """What was decoded and nobody has taken: ``WAITING`` frames at most, the oldest is dropped.

    ``dropped`` counts them.
    """

    def __init__(self) -> None:
        super().__init__(WAITING)
        self.dropped = 0

    async def put(self, item: Any) -> None:
        if self.full():
            self.get_nowait()
            self.dropped += 1
        self.put_nowait(item)


class Decoding:
    """Puts bounds around the decoding of ``receiver``; make it before the connection, and before
    anybody reads the receiver's track.

    aiortc has no setting for it, and never promised one: ``tests/rtc/test_rtp_attacks.py`` fails
    where it has changed. ``waiting``: what is to be decoded.
    """

    def __init__(
        self, receiver: RTCRtpReceiver, kind: LineKind, clock: Clock | None = None
    ) -> None:
        self._receiver = receiver
        self._receive = receiver.receive
        self._thread: threading.Thread | None = None
        self.waiting = DecoderQueue(kind, self._ask, clock or SystemClock())
        if all(hasattr(receiver, private(name)) for name in ("decoder_queue", "decoder_thread")):
            setattr(receiver, private("decoder_queue"), self.waiting)
            receiver.receive = self._begin  # type: ignore[method-assign]
            self._replace_queue()

    async def ended(self) -> None:
        """Wait, off the event loop, until the thread has ended, which the connection has told."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _PATIENCE)

    async def _begin(self, parameters: RTCRtpReceiveParameters) -> None:
        """Do what ``receive`` does; aiortc calls it again with every description."""
        if self._thread is None:
            self._replace_queue()  # before the thread is told of it
        await self._receive(parameters)
        thread = getattr(self._receiver, private("decoder_thread"))
        if isinstance(thread, threading.Thread):
            self._thread = thread
            setattr(self._receiver, private("decoder_thread"), _NotJoined())

    def _replace_queue(self) -> None:
        """Bound what the track holds, once there is one: with the other end's description."""
        track: Any = self._receiver.track
        if track is not None and not isinstance(track._queue, NewestFrames):  # noqa: SLF001
            track._queue = NewestFrames()  # noqa: SLF001

    def _ask(self) -> None:
        """Let aiortc ask for a key picture with the next packet, as where one was not decoded."""
        failed = getattr(self._receiver, private("decoder_error"), None)
        if isinstance(failed, threading.Event):
            failed.set()


class Seldom(logging.Filter):
    """Lets ``LOGGED`` lines pass, by their own times."""

    def __init__(self) -> None:
        super().__init__()
        self._allowed = TokenBucket(LOGGED)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether ``record`` is logged."""
        return self._allowed.take(record.created)


logging.getLogger("aiortc.rtcrtpreceiver").addFilter(Seldom())


class _NotJoined:
    """Stands for a thread that aiortc need not wait for."""

    def join(self) -> None:
        """Return at once."""


def private(name: str) -> str:
    """Return what Python calls a receiver's attribute ``__name`` outside its class."""
    return f"_RTCRtpReceiver__{name}"
