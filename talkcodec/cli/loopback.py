# SPDX-License-Identifier: Apache-2.0
"""A whole call inside one process: two real peers, a relay between them, and a stopwatch."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import cv2
import numpy as np

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.clock import Clock, Stopwatch, SystemClock
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.media.sinks import ShownFrame
from talkcodec.rtc.figures import Shown
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.mediastats import SentMedia
from talkcodec.rtc.recording import Recording
from talkcodec.rtc.relay import UdpRelay, WireCounts
from talkcodec.rtc.stats import ReceiverReport, SenderReport
from talkcodec.rtc.telemetry import Sink, Snapshot, Telemetry, snapshot
from talkcodec.types import U8, Frame

_TITLE = "talkcodec: sent | received"
_ESCAPE = 27
_REDRAW = 0.015


@dataclass(frozen=True, slots=True)
class Call:
    """What a finished call was like.

    ``seconds``: from the first captured frame to the last. ``delays``: seconds from capture to
    screen of every frame shown. ``first_picture``: seconds from the first capture to the first
    picture, None without one. ``wire``: every datagram of the connection, from its making;
    ``steady``: of these, the ones from the first picture to the last frame captured.
    ``media``: of the sender's ordinary video, where the face could not be drawn. ``views``: what
    was seen, in order; ``end``: when the last frame was captured, on the clock of ``views``.
    """

    seconds: float
    delays: tuple[float, ...]
    first_picture: float | None
    sent: SenderReport
    media: SentMedia
    received: ReceiverReport
    wire: WireCounts
    steady: Steady | None
    views: Sequence[View]
    end: float


@dataclass(frozen=True, slots=True)
class View(Shown):
    """``delay``: seconds since the frame was captured, None for one that was shown before.
    ``origin``: when tick 0 would have been shown by playout's delay of then; ``group``: ticks of
    a packet then.
    """

    delay: float | None
    origin: float
    group: int


@dataclass(frozen=True, slots=True)
class Steady:
    """Bytes on the wire each way, and ``payload``, in the ``seconds`` after the first picture: what
    a call takes that is under way. The first reference and the making of the connection are over
    by then; later references, reports, acknowledgements and ICE's checks are all within.
    """

    seconds: float
    forward: int
    back: int
    payload: int


class Observer:
    """Notes capture and show times of frames, and keeps their pictures if there is a ``recording``.

    ``totals``: bytes so far, as ``Steady`` has them; ``plan``: ``origin`` and ``group`` of a
    ``View``.
    """

    def __init__(
        self,
        tick_rate: Fraction,
        recording: Recording | None,
        clock: Clock,
        totals: Callable[[], tuple[int, int, int]],
        plan: Callable[[], tuple[float, int]],
    ) -> None:
        self.views: list[View] = []
        self.first_capture: float | None = None
        self.last_capture = 0.0
        self.first_picture: float | None = None
        self.begun = asyncio.Event()
        self.left: U8 | None = None
        self.right: U8 | None = None
        self._loop = asyncio.get_running_loop()
        self._tick_rate = tick_rate
        self._recording = recording
        self._clock = clock
        self._captured: dict[int, float] = {}
        self._totals, self._plan = totals, plan
        self._begun_with = (0, 0, 0)
        self._steady: Steady | None = None

    def captured(self, frame: Frame) -> None:
        """A frame left the camera. Called on the capture thread."""
        self.last_capture = self._clock.now()
        self._captured[self._tick(frame)] = self.last_capture
        if self.first_capture is None:
            self.first_capture = self.last_capture

    def encoded(self, encoder: Encoder, frame: Frame) -> None:
        """A frame was encoded. Called on the sender's worker thread."""
        if self._recording is not None:
            self.left = encoder.canvas(frame)
            self._recording.sent(self._tick(frame), self.left)

    def shown(self, frame: ShownFrame) -> None:
        """A frame is on the screen. Called on the receiver's worker thread."""
        now = self._clock.now()
        captured = self._captured.pop(frame.tick, None)
        delay = None if captured is None else now - captured
        self.views.append(View(now, frame.tick, frame.made_up, delay, *self._plan()))
        if self.first_picture is None:
            self.first_picture, self._begun_with = now, self._totals()
            self._loop.call_soon_threadsafe(self.begun.set)
        if self._recording is not None:
            self.right = frame.picture
            self._recording.shown(frame.tick, frame.picture)

    def ended(self) -> None:
        """The last frame was captured."""
        if self.first_picture is not None:
            grown = (b - a for a, b in zip(self._begun_with, self._totals(), strict=True))
            self._steady = Steady(self._clock.now() - self.first_picture, *grown)

    @property
    def steady(self) -> Steady | None:
        """What the call took from the first picture until it ``ended``, if there was one."""
        return self._steady

    def _tick(self, frame: Frame) -> int:
        return round(frame.time * self._tick_rate)


@dataclass(frozen=True, slots=True)
class Running:
    """A call under way, for whoever changes its path or looks at it."""

    sender: Sender
    receiver: Receiver
    relay: UdpRelay
    observer: Observer
    clock: Clock

    async def seen(self) -> None:
        """Wait until the first picture is on the screen."""
        await self.observer.begun.wait()


#: Goes on beside a call until that ends, if it does not end before.
Meanwhile = Callable[[Running], Awaitable[None]]


async def loopback(
    source: Iterable[Frame],
    config: EncoderConfig,
    link: LinkConfig,
    recording: Recording | None = None,
    *,
    window: bool = False,
    sinks: Sequence[Sink] = (),
    meanwhile: Meanwhile | None = None,
    stopwatch: Stopwatch | None = None,
) -> Call:
    """Send ``source`` to ourselves, in real time, over a path that behaves like ``link``.

    ``sinks`` get what both ends report, every second. A ``window`` needs a ``recording``.
    ``meanwhile`` begins when the connection stands. ``stopwatch``: of the receiver.

    The path is impaired once the connection stands and until the last frame is sent: a call is
    measured, not how long the handshakes of DTLS and SCTP take to get through.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        relay = await UdpRelay.open(clock=clock)
        stack.callback(relay.close)
        observer = Observer(
            config.tick_rate,
            recording,
            clock,
            lambda: _totals(relay, sender),
            lambda: _plan(receiver, sender),
        )
        receiver = Receiver(observer.shown, stopwatch=stopwatch, clock=clock)
        stack.push_async_callback(receiver.close)
        sender = Sender(config, on_frame=observer.encoded, clock=clock)
        stack.push_async_callback(sender.close)
        running = Running(sender, receiver, relay, observer, clock)
        answer = await receiver.answer(relay.offer(await sender.offer()))
        await sender.accept(relay.answer(answer))
        await receiver.connected()
        relay.impair(link)
        await stack.enter_async_context(
            Telemetry(partial(both_ends, sender, receiver, relay), sinks)
        )
        async with _beside(meanwhile, running):
            await _feed(source, sender, observer, clock, window=window)
        observer.ended()
        await sender.finish()
        # What is under way may arrive as late as everything before it did.
        await asyncio.sleep(link.rtt / 2 + link.jitter)
        relay.impair(LinkConfig())
    return _finished(running, config.tick_rate)


def _finished(run: Running, tick_rate: Fraction) -> Call:
    """Return what a call was like that has ended."""
    observer = run.observer
    begin = observer.first_capture or observer.last_capture
    first = observer.first_picture
    return Call(
        seconds=observer.last_capture - begin + float(1 / tick_rate),
        delays=tuple(view.delay for view in observer.views if view.delay is not None),
        first_picture=None if first is None else first - begin,
        sent=run.sender.report(),
        media=run.sender.media(),
        received=run.receiver.report(),
        wire=run.relay.counts,
        steady=observer.steady,
        views=observer.views,
        end=observer.last_capture,
    )


@asynccontextmanager
async def _beside(meanwhile: Meanwhile | None, running: Running) -> AsyncIterator[None]:
    """Let ``meanwhile`` go on, and cancel it at the end; raises what it raised."""
    if meanwhile is None:
        yield
        return
    task = asyncio.ensure_future(meanwhile(running))
    try:
        yield
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def _totals(relay: UdpRelay, sender: Sender) -> tuple[int, int, int]:
    wire = relay.counts
    payload = sender.report().payload_bytes + sender.media().video_bytes
    return wire.forward.offered_bytes, wire.back.offered_bytes, payload


def _plan(receiver: Receiver, sender: Sender) -> tuple[float, int]:
    settings = sender.session.settings
    return receiver.media().picture_delay or 0.0, settings.group * settings.divisor


def both_ends(sender: Sender, receiver: Receiver, relay: UdpRelay) -> Snapshot:
    """Return what both ends of a call report, and every byte that passed between them."""
    return {
        **snapshot(
            {
                "sent": [sender.media(), sender.session.transport(), sender.report()],
                "received": [receiver.media(), receiver.session.transport(), receiver.report()],
            }
        ),
        "wire_forward": relay.counts.forward.offered_bytes,
        "wire_back": relay.counts.back.offered_bytes,
    }


async def _feed(
    source: Iterable[Frame], sender: Sender, observer: Observer, clock: Clock, *, window: bool
) -> None:
    """Play ``source`` into ``sender`` until it ends, or until Escape is pressed in the window."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Exception | None] = loop.create_future()

    def put(frame: Frame) -> None:
        observer.captured(frame)
        sender.put(frame)

    def done(failure: Exception | None) -> None:
        loop.call_soon_threadsafe(ended.set_result, failure)

    capture = Capture(source, put, done, clock)
    capture.start()
    try:
        if window:
            await _watch(observer, ended.done)
        else:
            await ended
    finally:
        capture.close()
    failure = await ended
    if failure is not None:
        raise failure


async def _watch(observer: Observer, ended: Callable[[], bool]) -> None:
    """Show both sides in a window until ``ended``, or until Escape is pressed."""
    while not ended():
        if observer.left is not None and observer.right is not None:
            both = np.hstack([observer.left, observer.right])[:, :, ::-1]
            cv2.imshow(_TITLE, np.ascontiguousarray(both))
            if cv2.pollKey() == _ESCAPE:
                break
        await asyncio.sleep(_REDRAW)
    cv2.destroyAllWindows()


def has_display() -> bool:
    """Return whether a window could be shown."""
    served = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return served or not sys.platform.startswith("linux")
