# SPDX-License-Identifier: Apache-2.0
"""The receiving side of a call: messages in, pictures and sound out at their time.

The event loop only sorts messages. One worker thread decodes, waits for each frame's time and
draws it, so that a slow picture never delays the network; another plays sound.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import av

from receiver.screen import Screen
from receiver.sound import SoundRoom, Together
from talkcodec import weights
from talkcodec.bitstream.control import ModeChange
from talkcodec.clock import Clock, Stopwatch, SystemClock
from talkcodec.errors import TalkcodecError
from talkcodec.media.mark import marked_frame
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import SoundBlock
from talkcodec.pools import keep_to_one_thread, share_heaps
from talkcodec.reference.codec import CodecId
from talkcodec.rtc.call import Call
from talkcodec.rtc.driver import failure
from talkcodec.rtc.duplex import Notice
from talkcodec.rtc.incoming import Incoming
from talkcodec.rtc.mailbox import Mailbox
from talkcodec.rtc.mediastats import ReceivedMedia
from talkcodec.rtc.messages import greeting
from talkcodec.rtc.once import Once
from talkcodec.rtc.playout import PlayoutConfig
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.soundplayout import SoundPlayoutConfig
from talkcodec.rtc.stats import ReceiverReport
from talkcodec.types import Mode

#: Packets between event loop and worker; the oldest is dropped beyond, and counted.
INBOX = 64

#: Seconds the worker waits for a packet at most before it looks around.
_PATIENCE = 0.5

#: Seconds without a picture in mode ``video`` after which a key picture is asked for.
_STUCK = 0.4


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A packet of the stream, or a picture of ordinary video and its tick."""

    at: float
    content: bytes | av.VideoFrame
    tick: int = 0


class Receiver:
    """The half of a call that shows and plays what the other end sends.

    Make it inside a running event loop. Alone it is one end of a one-way call::

        receiver = Receiver(show)
        answer = await receiver.answer(offer)    # to the sender, by any signaling
        await receiver.ended()
        await receiver.close()

    With a ``Sender`` in a ``talkcodec.rtc.Call`` it is half of a two-way one.

    ``show`` is called on the worker thread with every picture, at its time; ``play`` on another
    with sound, in blocks of 20 ms without a gap, from the first on: pauses and losses are filled.
    Neither should wait. ``sound_latency``: seconds from ``play`` to the ear. ``on_mode`` is called
    on the worker thread before the first picture of another mode is shown. ``mark``: write into
    pictures that are synthesised, in a corner, that they are; it may be changed at any time.
    """

    def __init__(
        self,
        show: Callable[[ShownFrame], None],
        *,
        play: Callable[[SoundBlock], None] | None = None,
        sound_latency: float = 0.0,
        on_mode: Callable[[Mode], None] | None = None,
        mark: bool = True,
        playout: PlayoutConfig | None = None,
        sound_playout: SoundPlayoutConfig | None = None,
        stopwatch: Stopwatch | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        keep_to_one_thread()
        share_heaps()
        codecs = tuple(int(codec) for codec in CodecId)
        self.session = ReceiverSession(greeting(weights.tables().hash, codecs))
        self._loop = asyncio.get_running_loop()
        self._inbox: Mailbox[_Arrival] = Mailbox(INBOX)
        self._show = show
        self._on_mode = on_mode
        self.mark = mark
        self._screen = Screen(
            self._present,
            banked=lambda sequence: self._on_loop(self.session.banked, sequence),
            stuck=lambda: self._on_loop(self.session.request_reference),
            playout=playout,
            stopwatch=stopwatch,
            clock=self._clock,
        )
        config = sound_playout or SoundPlayoutConfig()
        self._together = Together(config.patience)
        self._sound = (
            None
            if play is None
            else SoundRoom(
                play,
                self._together,
                self._end,
                config=config,
                latency=sound_latency,
                clock=self._clock,
            )
        )
        self._incoming = Incoming(
            lambda tick, frame: self._inbox.put(_Arrival(self._clock.now(), frame, tick)),
            None if self._sound is None else self._sound.put,
            lambda: self._screen.tick_rate,
            self._clock,
        )
        self._prepared = Once(self._screen.prepare)
        self._mode: Mode = "motion"
        self._call: Call | None = None
        self._ended_at: float | None = None
        self._failure: TalkcodecError | None = None
        self._worker = threading.Thread(target=self._work, name="receiver", daemon=True)
        self._fresh_video = self._clock.now()

    # Of a one-way call.

    async def answer(self, offer: str) -> str:
        """Take the sender's session description and return ours; receiving begins."""
        return await self._own().answer(offer)

    async def connected(self) -> None:
        """Wait until the connection stands; raises ``TalkcodecError`` if it does not in time."""
        await self._own().connected()

    async def ended(self) -> None:
        """Wait until the sender says farewell or the connection is gone."""
        await self._own().ended()

    async def close(self) -> None:
        """Show what has arrived, then end. Raises a worker's failure, if it had one."""
        await self._own().close()
        if self._broken is not None:
            raise self._broken

    # Of every call.

    @property
    def mode(self) -> Mode:
        """How the picture shown last came."""
        return self._mode

    def report(self) -> ReceiverReport:
        """Return the totals so far."""
        session, screen = self.session.counts, self._screen
        playout = screen.playout.counts if screen.playout is not None else None
        return ReceiverReport(
            timestamp=self._clock.now(),
            groups=session.groups,
            references=session.references,
            payload_bytes=session.payload_bytes,
            invalid=session.invalid + screen.counts.invalid,
            unready=screen.counts.unready,
            inbox_dropped=self._inbox.dropped + session.overflowed,
            references_given_up=self.session.references_given_up,
            frames_shown=screen.counts.shown,
            late=playout.late if playout else 0,
            skipped=playout.skipped if playout else 0,
            duplicate=playout.duplicate if playout else 0,
            freezes=screen.freezes.freezes,
            longest_freeze=screen.freezes.longest,
            concealed=screen.counts.concealed,
            playout_time=screen.playout.waits if screen.playout is not None else 0.0,
            draw_time=screen.draw_time,
        )

    def media(self) -> ReceivedMedia:
        """Return the totals of sound and of ordinary video so far."""
        screen, room = self._screen.counts, self._sound
        sound = room.playout.counts if room else None
        playout = self._screen.playout
        return ReceivedMedia(
            timestamp=self._clock.now(),
            mode=self._mode,
            mode_switches=screen.switches,
            video_pictures=screen.pictures,
            video_dropped=screen.early,
            sound_blocks=sound.played if sound else 0,
            sound_concealed=sound.concealed if sound else 0,
            sound_muted=sound.muted if sound else 0,
            sound_late=sound.late if sound else 0,
            sound_skipped=sound.skipped if sound else 0,
            sound_inserted=sound.inserted if sound else 0,
            sound_delay=room.playout.delay if room else None,
            picture_delay=None if playout is None else playout.delay,
        )

    def queues(self) -> dict[str, int]:
        """Return how much waits in each queue now; all are bounded and drop the oldest."""
        playout = self._screen.playout
        return {
            "inbox": len(self._inbox),
            "playout": len(playout) if playout else 0,
            "sound": self._sound.waiting if self._sound else 0,
        }

    # What a ``Call`` asks of its receiving half, on the event loop's thread.

    async def prepare(self) -> None:
        """Load and try all that a picture needs, once, while the event loop goes on."""
        await self._prepared.result()

    def joined(self, call: Call) -> None:
        """Take what comes by the lines of the connection that stands now."""
        self._call = call
        self._incoming.attach(call)
        if self._worker.ident is None:
            self._worker.start()
        if self._sound is not None:
            self._sound.start()

    def heard(self, notices: list[Notice]) -> None:
        """Pass on what a message of the sender brought."""
        now = self._clock.now()
        for packet in self.session.packets():
            self._inbox.put(_Arrival(now, packet))
        for notice in notices:
            self._incoming.note(notice)
            if not isinstance(notice, ModeChange) and self._sound is not None:
                self._sound.note(notice)
        waits = self._screen.playout.waits if self._screen.playout is not None else 0.0
        self.session.fare(waits, self._screen.held)

    def over(self, _reason: str) -> None:
        """The other side or the path ended the call."""
        if self._ended_at is None:
            self._ended_at = self._clock.now()

    async def finish(self) -> None:
        """Show what has arrived, and stop the threads."""
        await self._incoming.close()
        self._inbox.close()
        if self._worker.is_alive():
            await asyncio.to_thread(self._worker.join)
        if self._sound is not None:
            await asyncio.to_thread(self._sound.close)
        if self._ended_at is not None:
            self._screen.freezes.ended(self._ended_at)

    def _own(self) -> Call:
        """Return the call that this is part of; without one, that of a receiver alone."""
        if self._call is None:
            self._call = Call(receiving=self, clock=self._clock)
        return self._call

    # The worker thread.

    def _work(self) -> None:
        try:
            while not self._inbox.closed:
                patience = self._screen.patience()
                item = self._inbox.take(_PATIENCE if patience is None else patience)
                if item is not None:
                    self._take(item)
                self._keep_together()
                self._screen.draw_due()
                self._look_after_video()
            self._show_rest()
        except Exception as error:  # noqa: BLE001  the thread ends; close passes it on
            self._failure = failure(error)
            self._end()

    def _take(self, item: _Arrival) -> None:
        if isinstance(item.content, bytes):
            self._screen.take(item.content, item.at)
        else:
            self._screen.picture(item.tick, item.content, item.at)
            self._fresh_video = item.at

    def _keep_together(self) -> None:
        playout = self._screen.playout
        if playout is not None:
            self._together.pictures_need = playout.needs
            self._together.picture_delay = playout.delay
            playout.floor = self._together.picture_floor()

    def _look_after_video(self) -> None:
        """Ask for a key picture where video was told of and none can be decoded."""
        told, now = self._incoming.mode, self._clock.now()
        if told is None or told.mode != "video":
            self._fresh_video = now
        elif now - self._fresh_video > _STUCK:
            self._fresh_video = now
            self._on_loop(self.session.request_reference)

    def _present(self, frame: ShownFrame) -> None:
        if frame.mode != self._mode:
            self._mode = frame.mode
            if frame.mode == "motion":
                self._loop.call_soon_threadsafe(self._tidy)
            if self._on_mode is not None:
                self._on_mode(frame.mode)
        self._show(marked_frame(frame) if self.mark else frame)

    def _show_rest(self) -> None:
        """Show what has arrived, each frame at its time; the buffer bounds how long that is."""
        while (patience := self._screen.patience()) is not None:
            time.sleep(patience)
            self._screen.draw_due()

    def _on_loop(self, call: Callable[..., None], *arguments: int) -> None:
        """Run ``call`` on the event loop's thread, then send what it left to be sent."""

        def run() -> None:
            call(*arguments)
            if self._call is not None:
                self._call.pump()

        self._loop.call_soon_threadsafe(run)

    def _tidy(self) -> None:
        if self._call is not None:
            self._call.tidy()

    @property
    def _broken(self) -> TalkcodecError | None:
        """What ended one of the threads before its time."""
        return self._failure or (self._sound.failure if self._sound else None)

    def _end(self) -> None:
        """End the call, for one of our threads has failed; called on that thread."""
        self._loop.call_soon_threadsafe(self._fail)

    def _fail(self) -> None:
        if self._call is not None:
            self._call.end(str(self._broken))
