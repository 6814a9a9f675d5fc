# SPDX-License-Identifier: Apache-2.0
"""The sending side of a call: frames in, messages to the peer out.

One worker thread tracks and encodes; the event loop only carries messages. Between camera and
worker lies a mailbox with one slot, so an encoder that falls behind skips frames and never
falls behind further.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from talkcodec import weights
from talkcodec.clock import Clock, Stopwatch, SystemClock
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.errors import TalkcodecError
from talkcodec.face import FaceTracker
from talkcodec.rtc.driver import Driver, failure
from talkcodec.rtc.mailbox import Mailbox
from talkcodec.rtc.references import PaceConfig
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.stats import SenderReport
from talkcodec.types import Frame, Packet

#: Seconds that the transport has to send what waits when a call ends.
_DRAIN = 0.5


class Sender:
    """One end of a call, sending frames given to ``put``. Make it inside a running event loop.

    ::

        sender = Sender()
        offer = await sender.offer()    # to the receiver, by any signaling
        await sender.accept(answer)     # what came back
        sender.put(frame)               # from any thread, as often as there are frames
        await sender.close()

    ``on_frame`` is called on the worker thread after each frame that was encoded.
    """

    def __init__(
        self,
        config: EncoderConfig | None = None,
        *,
        tracker: FaceTracker | None = None,
        pace: PaceConfig | None = None,
        on_frame: Callable[[Encoder, Frame], None] | None = None,
        stopwatch: Stopwatch | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        # A receiver would stand still if it had to wait for every new reference.
        live = replace(config or EncoderConfig(), acknowledged=True)
        self._open = partial(Encoder, live, tracker, stopwatch)
        self._encoder: Encoder | None = None
        self._session = SenderSession(weights.tables().hash, pace)
        self._driver = Driver(self._session, self._clock, self._listen)
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._frames: Mailbox[Frame] = Mailbox(1)
        self._captured = self._encoded = 0
        self._failure: TalkcodecError | None = None
        self._closing = False
        self._ended = asyncio.Event()
        self._guard: asyncio.Task[None] | None = None
        self._wanted = threading.Event()
        # At most one of 256 sequence numbers each: older ones are overwritten.
        self._arrived: deque[int] = deque(maxlen=256)
        self._worker: threading.Thread | None = None

    async def offer(self) -> str:
        """Load the face tracker and return the session description for the receiver."""
        # Loading takes a second, during which the caller's event loop must go on.
        self._encoder, offer = await asyncio.gather(
            asyncio.to_thread(self._open), self._driver.peer.offer()
        )
        return offer

    async def accept(self, answer: str) -> None:
        """Take the receiver's answer to ``offer`` and wait until the connection stands."""
        if self._encoder is None:
            raise TalkcodecError("expected an offer before its answer, found none")
        await self._driver.peer.accept(answer)
        await self._driver.peer.opened()
        self._session.send(self._encoder.header())
        self._driver.pump()
        self._guard = asyncio.create_task(self._watch())
        self._worker = threading.Thread(
            target=self._work, args=(self._encoder,), name="sender", daemon=True
        )
        self._worker.start()

    def put(self, frame: Frame) -> None:
        """Offer a frame, from any thread; an older one that still waits is dropped.

        Raises ``TalkcodecError`` when the call is over, with the reason.
        """
        self._raise_failure()
        self._captured += 1
        self._frames.put(frame)

    async def ended(self) -> None:
        """Wait until the call is over: the receiver left, the connection is gone, or we failed."""
        await self._ended.wait()

    def report(self) -> SenderReport:
        """Return the totals so far."""
        counts = self._session.counts
        return SenderReport(
            timestamp=self._clock.now(),
            frames_captured=self._captured,
            frames_dropped=self._frames.dropped,
            frames_encoded=self._encoded,
            groups=counts.groups,
            references=counts.references,
            payload_bytes=counts.header_bytes + counts.motion_bytes + counts.reference_bytes,
            motion_bytes=counts.motion_bytes,
            reference_bytes=counts.reference_bytes,
            chunks=counts.chunks,
            chunks_repaired=self._session.chunks_repaired,
            control_bytes=counts.control_bytes,
            messages_dropped=self._driver.peer.dropped + counts.overflowed,
            loss=self._session.loss,
            rtt=self._session.rtt,
        )

    async def finish(self) -> None:
        """Encode what was put, send the last group and wait for the worker; then ``close``."""
        self._frames.close()
        if self._worker is not None:
            await asyncio.to_thread(self._worker.join)

    async def close(self) -> None:
        """Say farewell and end the connection.

        Raises ``TalkcodecError`` when the call was over before, with the reason.
        """
        self._closing = True
        await self.finish()
        if self._guard is not None:
            self._guard.cancel()
        self._session.end()
        await self._driver.close(drain=_DRAIN)
        self._raise_failure()

    async def _watch(self) -> None:
        """End the call when its connection is gone."""
        await self._driver.peer.closed.wait()
        self._end("the connection is gone")

    def _end(self, reason: str) -> None:
        """The other side or the path ended the call: encode nothing more."""
        if self._failure is None and not self._closing:
            self._failure = TalkcodecError(f"expected a call, found it ended: {reason}")
            self._frames.close()
        self._ended.set()

    def _work(self, encoder: Encoder) -> None:
        try:
            while not self._frames.closed:
                frame = self._frames.take()
                if frame is not None:
                    self._encode(encoder, frame)
            self._hand_over(encoder.flush())
        except Exception as error:  # noqa: BLE001  the thread ends; put and close pass it on
            self._failure = failure(error)
            self._loop.call_soon_threadsafe(self._ended.set)

    def _encode(self, encoder: Encoder, frame: Frame) -> None:
        if self._wanted.is_set():
            self._wanted.clear()
            encoder.request_reference()
        while self._arrived:
            encoder.acknowledge(self._arrived.popleft())
        self._hand_over(encoder.encode(frame))
        self._encoded += 1
        if self._on_frame is not None:
            self._on_frame(encoder, frame)

    def _hand_over(self, packets: list[Packet]) -> None:
        """Give ``packets`` to the event loop's thread."""
        if packets:
            self._loop.call_soon_threadsafe(self._send, packets)

    def _send(self, packets: list[Packet]) -> None:
        for packet in packets:
            self._session.send(packet)
        self._driver.pump()

    def _listen(self) -> None:
        """Look at what a message of the receiver has changed."""
        if self._session.take_request():
            self._wanted.set()
        self._arrived.extend(self._session.take_acknowledged())
        if self._session.ended is not None:
            self._end(self._session.ended)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
