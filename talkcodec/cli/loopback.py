# SPDX-License-Identifier: Apache-2.0
"""A whole call inside one process: two real peers, a relay between them, and a stopwatch."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import cv2
import numpy as np

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.clock import Clock, SystemClock
from talkcodec.decoder import DecodedFrame
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.mediastats import SentMedia
from talkcodec.rtc.recording import Recording
from talkcodec.rtc.relay import UdpRelay, WireCounts
from talkcodec.rtc.stats import ReceiverReport, SenderReport
from talkcodec.rtc.telemetry import Sink, Snapshot, Telemetry, snapshot
from talkcodec.types import U8, Frame

#: Seconds of a drawn source kept in memory; longer calls play it forwards and backwards.
REHEARSED = 10.0

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
    ``media``: of the sender's ordinary video, where the face could not be drawn.
    """

    seconds: float
    delays: tuple[float, ...]
    first_picture: float | None
    sent: SenderReport
    media: SentMedia
    received: ReceiverReport
    wire: WireCounts
    steady: Steady | None


@dataclass(frozen=True, slots=True)
class Steady:
    """Bytes on the wire each way in the ``seconds`` after the first picture: what a call takes that
    is under way. The first reference and the making of the connection are over by then; later
    references, reports, acknowledgements and ICE's checks are all within.
    """

    seconds: float
    forward: int
    back: int


class Observer:
    """Notes capture and show times of frames, and keeps their pictures."""

    def __init__(
        self,
        tick_rate: Fraction,
        recording: Recording,
        clock: Clock,
        wire: Callable[[], WireCounts],
    ) -> None:
        self.delays: list[float] = []
        self.first_capture: float | None = None
        self.last_capture = 0.0
        self.first_picture: float | None = None
        self.left: U8 | None = None
        self.right: U8 | None = None
        self._tick_rate = tick_rate
        self._recording = recording
        self._clock = clock
        self._captured: dict[int, float] = {}
        self._wire = wire
        self._begun: tuple[int, int] | None = None
        self._steady: Steady | None = None

    def captured(self, frame: Frame) -> None:
        """A frame left the camera. Called on the capture thread."""
        self.last_capture = self._clock.now()
        self._captured[self._tick(frame)] = self.last_capture
        if self.first_capture is None:
            self.first_capture = self.last_capture

    def encoded(self, encoder: Encoder, frame: Frame) -> None:
        """A frame was encoded. Called on the sender's worker thread."""
        self.left = encoder.canvas(frame)
        self._recording.sent(self._tick(frame), self.left)

    def shown(self, frame: DecodedFrame) -> None:
        """A frame is on the screen. Called on the receiver's worker thread."""
        now = self._clock.now()
        captured = self._captured.pop(frame.tick, None)
        if captured is not None:
            self.delays.append(now - captured)
        if self.first_picture is None:
            self.first_picture, self._begun = now, self._bytes()
        self.right = frame.picture
        self._recording.shown(frame.tick, frame.picture)

    def ended(self) -> None:
        """The last frame was captured."""
        if self.first_picture is not None and self._begun is not None:
            forward, back = self._bytes()
            seconds = self._clock.now() - self.first_picture
            self._steady = Steady(seconds, forward - self._begun[0], back - self._begun[1])

    @property
    def steady(self) -> Steady | None:
        """What the call took from the first picture until it ``ended``, if there was one."""
        return self._steady

    def _bytes(self) -> tuple[int, int]:
        wire = self._wire()
        return wire.forward.offered_bytes, wire.back.offered_bytes

    def _tick(self, frame: Frame) -> int:
        return round(frame.time * self._tick_rate)


async def loopback(
    source: Iterable[Frame],
    config: EncoderConfig,
    link: LinkConfig,
    recording: Recording,
    *,
    window: bool = False,
    sinks: Sequence[Sink] = (),
) -> Call:
    """Send ``source`` to ourselves, in real time, over a path that behaves like ``link``.

    ``sinks`` get what both ends report, every second.

    The path is impaired once the connection stands and until the last frame is sent: a call is
    measured, not how long the handshakes of DTLS and SCTP take to get through.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        relay = await UdpRelay.open(clock=clock)
        observer = Observer(config.tick_rate, recording, clock, lambda: relay.counts)
        stack.callback(relay.close)
        receiver = Receiver(observer.shown, clock=clock)
        stack.push_async_callback(receiver.close)
        sender = Sender(config, on_frame=observer.encoded, clock=clock)
        stack.push_async_callback(sender.close)
        answer = await receiver.answer(relay.offer(await sender.offer()))
        await sender.accept(relay.answer(answer))
        await receiver.connected()
        relay.impair(link)
        await stack.enter_async_context(
            Telemetry(partial(both_ends, sender, receiver, relay), sinks)
        )
        await _feed(source, sender, observer, clock, window=window)
        observer.ended()
        await sender.finish()
        # What is under way may arrive as late as everything before it did.
        await asyncio.sleep(link.rtt / 2 + link.jitter)
        relay.impair(LinkConfig())
    begin = observer.first_capture or observer.last_capture
    first = observer.first_picture
    return Call(
        seconds=observer.last_capture - begin + float(1 / config.tick_rate),
        delays=tuple(observer.delays),
        first_picture=None if first is None else first - begin,
        sent=sender.report(),
        media=sender.media(),
        received=receiver.report(),
        wire=relay.counts,
        steady=observer.steady,
    )


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


def limited(source: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """Yield the frames of ``source`` before ``seconds``."""
    return itertools.takewhile(lambda frame: frame.time < seconds, source)


def rehearsed(drawn: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """Draw a constant-rate source beforehand, so that drawing costs the call nothing.

    Yields ``seconds`` of it; what is longer than the source plays it backwards and forwards.
    """
    pictures = [frame for frame in drawn if frame.time < REHEARSED]
    if not pictures:
        return
    period = max(2 * (len(pictures) - 1), 1)
    base = pictures[0].time_base
    for tick in itertools.count():
        if tick * base >= seconds:
            return
        place = tick % period
        picture = pictures[min(place, period - place)].picture
        yield Frame(picture, tick, base)
