# SPDX-License-Identifier: Apache-2.0
"""The receiving side of a call: messages in, pictures out at their time.

The event loop only sorts messages. One worker thread decodes, waits for each frame's time and
draws it, so that a slow picture never delays the network.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from receiver.screen import Screen
from talkcodec import weights
from talkcodec.clock import Clock, Stopwatch, SystemClock
from talkcodec.decoder import DecodedFrame
from talkcodec.errors import TalkcodecError
from talkcodec.reference.codec import CodecId
from talkcodec.rtc.driver import Driver, failure
from talkcodec.rtc.mailbox import Mailbox
from talkcodec.rtc.messages import greeting
from talkcodec.rtc.playout import PlayoutConfig
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.stats import ReceiverReport

#: Packets between event loop and worker; the oldest is dropped beyond, and counted.
INBOX = 64

#: Seconds the worker waits for a packet at most before it looks around.
_PATIENCE = 0.5


class Receiver:
    """One end of a call, showing what the other end sends. Make it inside a running event loop.

    ::

        receiver = Receiver(show)
        answer = await receiver.answer(offer)    # to the sender, by any signaling
        await receiver.ended()
        await receiver.close()

    ``show`` is called on the worker thread with every frame, at its time, and should not wait.
    """

    def __init__(
        self,
        show: Callable[[DecodedFrame], None],
        *,
        playout: PlayoutConfig | None = None,
        stopwatch: Stopwatch | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        codecs = tuple(int(codec) for codec in CodecId)
        self._session = ReceiverSession(greeting(weights.tables().hash, codecs))
        self._driver = Driver(self._session, self._clock, self._listen)
        self._loop = asyncio.get_running_loop()
        self._inbox: Mailbox[tuple[float, bytes]] = Mailbox(INBOX)
        self._screen = Screen(
            show,
            banked=lambda sequence: self._on_loop(self._session.banked, sequence),
            stuck=lambda: self._on_loop(self._session.request_reference),
            playout=playout,
            stopwatch=stopwatch,
            clock=self._clock,
        )
        self._ended = asyncio.Event()
        self._ended_at: float | None = None
        self._failure: TalkcodecError | None = None
        self._worker = threading.Thread(target=self._work, name="receiver", daemon=True)

    async def answer(self, offer: str) -> str:
        """Take the sender's session description and return ours; receiving begins."""
        answer = await self._driver.peer.answer(offer)
        self._worker.start()
        return answer

    async def connected(self) -> None:
        """Wait until the connection stands; raises ``TalkcodecError`` if it does not in time."""
        await self._driver.peer.opened()
        self._driver.pump()

    async def ended(self) -> None:
        """Wait until the sender says farewell or the connection is gone."""
        waits = [
            asyncio.ensure_future(event.wait()) for event in (self._ended, self._driver.peer.closed)
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def report(self) -> ReceiverReport:
        """Return the totals so far."""
        session, screen = self._session.counts, self._screen
        playout = screen.playout.counts if screen.playout else None
        return ReceiverReport(
            timestamp=self._clock.now(),
            groups=session.groups,
            references=session.references,
            payload_bytes=session.payload_bytes,
            invalid=session.invalid + screen.counts.invalid,
            unready=screen.counts.unready,
            inbox_dropped=self._inbox.dropped + session.overflowed,
            references_given_up=self._session.references_given_up,
            frames_shown=screen.counts.shown,
            late=playout.late if playout else 0,
            skipped=playout.skipped if playout else 0,
            duplicate=playout.duplicate if playout else 0,
            freezes=screen.freezes.freezes,
            longest_freeze=screen.freezes.longest,
        )

    async def close(self) -> None:
        """Show what has arrived, then end. Raises the worker's failure, if it had one."""
        self._inbox.close()
        if self._worker.is_alive():
            await asyncio.to_thread(self._worker.join)
        if self._ended_at is not None:
            self._screen.freezes.ended(self._ended_at)
        self._session.end()
        await self._driver.close()
        if self._failure is not None:
            raise self._failure

    def _listen(self) -> None:
        """Pass on what a message of the sender brought."""
        now = self._clock.now()
        for packet in self._session.packets():
            self._inbox.put((now, packet))
        waits = self._screen.playout.waits if self._screen.playout else 0.0
        self._session.fare(self._screen.tick, waits, self._screen.held)
        if self._session.ended is not None and self._ended_at is None:
            self._ended_at = now
            self._ended.set()

    def _work(self) -> None:
        try:
            while not self._inbox.closed:
                patience = self._screen.patience()
                item = self._inbox.take(_PATIENCE if patience is None else patience)
                if item is not None:
                    self._screen.take(item[1], item[0])
                self._screen.draw_due()
            self._show_rest()
        except Exception as error:  # noqa: BLE001  the thread ends; close passes it on
            self._failure = failure(error)
            self._on_loop(self._ended.set)

    def _show_rest(self) -> None:
        """Show what has arrived, each frame at its time; the buffer bounds how long that is."""
        while (patience := self._screen.patience()) is not None:
            time.sleep(patience)
            self._screen.draw_due()

    def _on_loop(self, call: Callable[..., None], *arguments: int) -> None:
        """Run ``call`` on the event loop's thread, then send what it left to be sent."""

        def run() -> None:
            call(*arguments)
            self._driver.pump()

        self._loop.call_soon_threadsafe(run)
