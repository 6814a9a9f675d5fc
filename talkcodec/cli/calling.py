# SPDX-License-Identifier: Apache-2.0
"""One end of a call, from meeting to farewell: what ``talkcodec call`` does."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.cli.callmedia import CallMedia, MediaNames, open_media
from talkcodec.clock import SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.errors import TalkcodecError
from talkcodec.media.sound import SoundBlock
from talkcodec.media.window import WindowSink
from talkcodec.rtc.conversation import Conversation
from talkcodec.rtc.ice import IceServer
from talkcodec.rtc.rate import RateConfig
from talkcodec.rtc.signaling.choose import MeetingPlace, open_signaling
from talkcodec.rtc.signaling.protocol import Signaling
from talkcodec.rtc.telemetry import Sink, Snapshot, Telemetry, snapshot
from talkcodec.types import Frame, Mode

_REDRAW = 0.02

#: What people are told of each mode.
_MODES: dict[Mode, str] = {"motion": "motion, drawn here", "video": "ordinary video"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call is to be. ``seconds``: from the connection on, None: until somebody ends it;
    ``arrival``: to wait for the other side. ``group``: frames a packet, 1 to 4. ``most``: bits per
    second that sending may take, answers included; None: what the path carries.
    """

    place: MeetingPlace
    media: MediaNames
    ice_servers: tuple[IceServer, ...] = ()
    seconds: float | None = None
    arrival: float = 900.0
    mark: bool = True
    group: int = 3
    most: float | None = None


class Interrupted(TalkcodecError):
    """Somebody pressed Ctrl-C before there was a call."""


async def take_part(
    plan: Plan, tell: Callable[[str], None], sinks: Sequence[Sink] = ()
) -> dict[str, Any]:
    """Meet, talk until the end, and return what the call was like; ``sinks`` get its reports.

    Raises:
        TalkcodecError: the call could not begin.
        Interrupted: Ctrl-C before it began.
    """
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(_interrupts())
        media = stack.enter_context(open_media(plan.media, plan.seconds, tell))
        signaling = await open_signaling(plan.place, tell=tell, show=_show(tell))
        one = _End(plan, media, signaling, tell)
        stack.push_async_callback(one.close)
        words = await _before(stop, one.conversation.connect())
        tell(f"connected; both sides should read: {words}")
        async with Telemetry(one.reports, sinks):
            ended = await one.talk(stop)
        tell(f"ended: {ended}")
    return one.result(words, ended)


class _End:
    """The parts of one end, and how they end. Make it inside a running event loop."""

    def __init__(
        self,
        plan: Plan,
        media: CallMedia,
        signaling: Signaling,
        tell: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._clock = SystemClock()
        self._media = media
        self._tell = tell
        # The coarse copies cost 0.1 kbit/s and repair every loss of a single group.
        config = EncoderConfig(tick_rate=media.rate, group=plan.group, redundancy=True)
        rate = RateConfig(both=plan.most)
        silent = media.frames is None and media.sound is None
        self._sender = None if silent else Sender(config, rate=rate, clock=self._clock)
        self._receiver = Receiver(
            media.sink.show,
            play=media.play,
            sound_latency=media.play_latency,
            on_mode=self._show_mode,
            mark=plan.mark,
            clock=self._clock,
        )
        self.conversation = Conversation(
            self._sender,
            self._receiver,
            signaling,
            ice_servers=plan.ice_servers,
            arrival=plan.arrival,
            tell=tell,
            clock=self._clock,
        )
        self._begun: float | None = None
        self._lasted = 0.0

    async def talk(self, stop: asyncio.Event) -> str:
        """Let both sides talk; return why it ended."""
        self._begun = self._clock.now()
        dry: asyncio.Event = asyncio.Event()
        ends = {
            "interrupted": stop.wait(),
            "time is over": self._time(),
            "the input ended": dry.wait(),
            "the window was closed": self._watch(),
            "the call is over": self.conversation.ended(),
        }
        tasks = {asyncio.ensure_future(end): reason for reason, end in ends.items()}
        captures = self._captures(dry)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            # A call that is over ends the input too, and is what people want to know of.
            reason = next(tasks[task] for task in tasks if task in done)
            return self.conversation.call.reason or reason
        finally:
            self._lasted = self._clock.now() - self._begun
            for capture in captures:
                await asyncio.to_thread(capture.close)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """End the call, then leave the meeting."""
        await self.conversation.close()

    def reports(self) -> Snapshot:
        """Return what both halves report now."""
        sender, receiver = self._sender, self._receiver
        table = snapshot(
            {"received": [receiver.media(), receiver.session.transport(), receiver.report()]}
        )
        if sender is not None:
            table |= snapshot(
                {"sent": [sender.media(), sender.session.transport(), sender.report()]}
            )
        return table

    def _show_mode(self, mode: Mode) -> None:
        """Say how pictures come from now on; called on the receiver's worker thread."""
        self._tell(f"receiving: {_MODES[mode]}")
        if isinstance(self._media.sink, WindowSink):
            self._media.sink.note = _MODES[mode]

    def result(self, words: str, ended: str) -> dict[str, Any]:
        """Return the JSON object of ``--json``."""
        sent = self._sender.report() if self._sender else None
        received, media = self._receiver.report(), self._receiver.media()
        sound = self._sender.media() if self._sender else None
        seconds = max(self._lasted, 1e-3)
        payload = (sent.payload_bytes if sent else 0) + (sound.video_bytes if sound else 0)
        return {
            "words": words,
            "seconds": round(self._lasted, 2),
            "ended": ended,
            "connections": self.conversation.call.connections,
            "frames_sent": sent.frames_encoded if sent else 0,
            "frames_shown": received.frames_shown,
            "freezes_over_200ms": received.freezes,
            "longest_freeze_ms": round(1000 * received.longest_freeze),
            "payload_kbps_sent": round(payload * 8e-3 / seconds, 3),
            "payload_kbps_received": round(received.payload_bytes * 8e-3 / seconds, 3),
            "references_sent": sent.references if sent else 0,
            "references_received": received.references,
            "loss": None if sent is None or sent.loss is None else round(sent.loss, 4),
            "rtt_ms": None if sent is None or sent.rtt is None else round(1000 * sent.rtt, 1),
            "mode_switches": media.mode_switches,
            "sound_sent": sound.sound_packets if sound else 0,
            "sound_played": media.sound_blocks,
            "invalid_messages": received.invalid,
        }

    def _captures(self, dry: asyncio.Event) -> list[Capture[Frame] | Capture[SoundBlock]]:
        """Start what feeds the sender; ``dry`` is set when there are no more pictures."""
        sender, media = self._sender, self._media
        if sender is None:
            return []
        loop, begin = asyncio.get_running_loop(), self._clock.now()

        def done(failure: Exception | None) -> None:
            # Where the call has ended, the source ended with it.
            if failure is not None and not self.conversation.call.is_over:
                self._tell(f"input: {failure}")

        def last(failure: Exception | None) -> None:
            done(failure)
            loop.call_soon_threadsafe(dry.set)

        captures: list[Capture[Frame] | Capture[SoundBlock]] = []
        if media.frames is not None:
            captures.append(Capture(media.frames, sender.put, last, self._clock, begin=begin))
        if media.sound is not None:
            hear = partial(sender.put_sound, latency=media.sound_latency)
            captures.append(Capture(media.sound, hear, done, self._clock, begin=begin))
        for capture in captures:
            capture.start()
        return captures

    async def _time(self) -> None:
        await asyncio.sleep(self._plan.seconds if self._plan.seconds is not None else math.inf)

    async def _watch(self) -> None:
        """Draw the window, if there is one, until it is closed."""
        sink = self._media.sink
        if not isinstance(sink, WindowSink):
            await asyncio.Event().wait()
            return
        while sink.poll():  # noqa: ASYNC110  windows tell nobody of their keys
            await asyncio.sleep(_REDRAW)


def _show(tell: Callable[[str], None]) -> Callable[[str], None]:
    def show(line: str) -> None:
        tell("send this line to the other side, and paste theirs here:")
        tell(line)

    return show


async def _before(stop: asyncio.Event, meeting: Any) -> str:
    """Wait for the connection, or for Ctrl-C."""
    work = asyncio.ensure_future(meeting)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Interrupted("interrupted before there was a call")
        return str(work.result())
    finally:
        for task in (work, stopped):
            task.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)


@contextmanager
def _interrupts() -> Iterator[asyncio.Event]:
    """Yield an event that Ctrl-C sets, once; a second Ctrl-C ends the program at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    with suppress(NotImplementedError):  # Windows: Ctrl-C cancels the main task instead
        loop.add_signal_handler(signal.SIGINT, pressed)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    try:
        yield stop
    finally:
        with suppress(NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
