# SPDX-License-Identifier: Apache-2.0
"""The calls of a page, one after the other: begins and ends them, and tells how they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from receiver import Receiver
from sender import Sender
from talkcodec.clock import Clock
from talkcodec.encoder import EncoderConfig
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.bridge import SOUND_LATENCY
from talkcodec.rtc.conversation import Conversation
from talkcodec.rtc.ice import IceServer
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.signaling.choose import MeetingPlace, open_signaling
from talkcodec.rtc.signaling.protocol import Signaling
from talkcodec.rtc.wire import Wire
from talkcodec.types import Mode
from talkcodec.web.messages import Meet
from talkcodec.web.stage import Stage

_CAMERA_RATE = Fraction(30)

Phase = Literal["idle", "meeting", "talking"]


@dataclass(frozen=True, slots=True)
class CallPlan:
    """``place``: what the page proposes, and the one place that gets its token. ``mark``: whether
    synthesised pictures say so at first. ``arrival``: seconds to wait for the other side.
    """

    place: MeetingPlace
    ice_servers: tuple[IceServer, ...] = ()
    mark: bool = True
    arrival: float = 900.0


@dataclass(frozen=True, slots=True)
class CallState:
    """What the page shows in words. ``room``: code to tell the other side; ``line``: to carry to
    it; ``words``: to compare; ``told``: what happened last.
    """

    phase: Phase = "idle"
    room: str = ""
    line: str = ""
    words: str = ""
    told: str = ""


class Caller:
    """Belongs to the event loop. ``changed`` is called whenever ``state`` says something else."""

    def __init__(
        self, plan: CallPlan, stage: Stage, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._plan = plan
        self._stage = stage
        self._clock = clock
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._told = CallState()
        self._task: asyncio.Task[None] | None = None
        self._lines: _Lines | None = None
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._wire = Wire(clock)
        self._muted, self._marked, self._video, self._loss = False, plan.mark, False, 0.0

    # What a page can ask for.

    async def meet(self, request: Meet) -> None:
        """Begin a call, in place of the one there was; see ``MeetingPlace``.

        Raises:
            TalkcodecError: the place is none.
        """
        known = self._plan.place
        same = request.place == known.text
        place = MeetingPlace(
            request.place,
            request.room or None,
            request.answers,
            known.token if same else None,  # a token is for the server it was given for
            known.authority if same else None,
        )
        await self.leave()
        self._tell(phase="meeting", room="", line="", words="", told="")
        # Open before the call runs: what is pasted at once must not be lost.
        lines = self._lines = _Lines.open()
        self._task = asyncio.create_task(self._run(place, lines))
        self._task.add_done_callback(lambda _: self._close(lines))

    def _close(self, lines: _Lines) -> None:
        """Close the pipe of a call that has ended; what is pasted later goes nowhere."""
        lines.close()
        if self._lines is lines:
            self._lines = None

    def line(self, text: str) -> None:
        """Take the line that the other side sent."""
        if self._lines is not None:
            self._lines.put(text)

    async def leave(self) -> None:
        """End the call, or the waiting for one."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def mute(self, *, on: bool) -> None:
        """Send no sound, now and in calls to come, or sound again."""
        self._muted = on
        self._apply()

    def mark(self, *, on: bool) -> None:
        """Write into synthesised pictures that they are, or not."""
        self._marked = on
        self._apply()

    def video(self, *, on: bool) -> None:
        """Send ordinary video, or faces as motion where that can serve."""
        self._video = on
        self._apply()

    def lose(self, part: float) -> None:
        """Lose ``part`` (0 to 1) of all datagrams of the call, both ways."""
        self._loss = part
        self._apply()

    def tell(self, text: str) -> None:
        """Let the page say ``text``."""
        self._tell(told=text)

    # What a page is told.

    def state(self) -> dict[str, Any]:
        """Return what holds now, as JSON values."""
        told, sender, receiver = self._told, self._sender, self._receiver
        talking = told.phase == "talking"
        return {
            "phase": told.phase,
            "room": told.room,
            "line": told.line,
            "words": told.words,
            "told": told.told,
            "muted": self._muted,
            "mark": self._marked,
            "video": self._video,
            "loss": self._loss,
            "mode": receiver.mode if receiver and talking else None,
            "sends": sender.mode if sender and talking else None,
            "reason": sender.reason if sender and talking else "none",
        }

    def figures(self) -> dict[str, Any]:
        """Return totals of the present call, as JSON values: bytes, counts, and seconds."""
        sender, receiver, wire = self._sender, self._receiver, self._wire
        sent = sender.report() if sender else None
        received = receiver.report() if receiver else None
        video = sender.media().video_bytes if sender else 0
        return {
            "at": self._clock.now(),
            "sent_payload": (sent.payload_bytes if sent else 0) + video,
            "sent_wire": wire.sent.pictures,
            "sent_sound": wire.sent.sound,
            "received_payload": received.payload_bytes if received else 0,
            "received_wire": wire.received.pictures,
            "received_sound": wire.received.sound,
            "frames_sent": sent.frames_encoded if sent else 0,
            "frames_shown": received.frames_shown if received else 0,
            "freezes": received.freezes if received else 0,
            "concealed": received.concealed if received else 0,
            "loss": sent.loss if sent else None,
            "rtt": sent.rtt if sent else None,
        }

    async def _run(self, place: MeetingPlace, lines: _Lines) -> None:
        """Meet, talk until the end, and tell how it ended."""
        ended = "the call has ended"
        try:
            async with AsyncExitStack() as stack:
                signaling = await self._open(place, lines)
                conversation = self._begin(signaling)
                stack.push_async_callback(conversation.close)
                words = await conversation.connect()
                self._talk(words, stack)
                await conversation.ended()
                ended = conversation.call.reason or ended
        except TalkcodecError as error:
            ended = str(error)
        finally:
            self._sender = self._receiver = None
            self._tell(phase="idle", room="", line="", words="", told=ended)

    async def _open(self, place: MeetingPlace, lines: _Lines) -> Signaling:
        from talkcodec.rtc.signaling.room import RoomSignaling

        signaling = await open_signaling(
            place,
            tell=lambda text: self._tell(told=text),
            show=lambda line: self._tell(line=line),
            source=lines.source,
        )
        if isinstance(signaling, RoomSignaling):
            self._tell(room=signaling.room)
        return signaling

    def _begin(self, signaling: Signaling) -> Conversation:
        """Make the halves of a call that is to meet by ``signaling``."""
        config = EncoderConfig(tick_rate=_CAMERA_RATE, redundancy=True)
        self._sender = Sender(config, clock=self._clock)
        self._receiver = Receiver(
            self._stage.show,
            play=self._stage.play,
            sound_latency=SOUND_LATENCY,
            on_mode=self._mode,
            mark=self._marked,
            clock=self._clock,
        )
        self._wire = Wire(self._clock)
        self._apply()
        return Conversation(
            self._sender,
            self._receiver,
            signaling,
            ice_servers=self._plan.ice_servers,
            arrival=self._plan.arrival,
            tell=lambda text: self._tell(told=text),
            wire=self._wire,
            clock=self._clock,
        )

    def _talk(self, words: str, stack: AsyncExitStack) -> None:
        """Let the page be seen and heard until ``stack`` is closed."""
        if self._sender is not None:
            self._stage.attach(self._sender)
            stack.callback(self._stage.detach)
        self._tell(phase="talking", words=words, line="", told="connected")

    def _apply(self) -> None:
        """Let the present call be as the page wants it."""
        if self._sender is not None and self._receiver is not None:
            self._sender.mute(on=self._muted)
            self._sender.set_mode("video" if self._video else "motion")
            self._receiver.mark = self._marked
        if self._wire.config.loss != self._loss:
            self._wire.impair(LinkConfig(loss=self._loss))
        self._changed()

    def _mode(self, _mode: Mode) -> None:
        """Tell of another mode; on the receiver's thread."""
        self._loop.call_soon_threadsafe(self._changed)

    def _tell(self, **what: Any) -> None:
        """Change fields of ``CallState``."""
        self._told = replace(self._told, **what)
        self._changed()


class _Lines:
    """A pipe in place of standard input: what pages paste is read like what people type.

    A pipe that is full refuses: nobody reads so many lines.
    """

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self._target = target

    @classmethod
    def open(cls) -> _Lines:
        source, target = os.pipe()
        os.set_blocking(target, False)
        return cls(source, target)

    def put(self, text: str) -> None:
        with suppress(BlockingIOError):
            os.write(self._target, text.encode("ascii", "replace") + b"\n")

    def close(self) -> None:
        os.close(self.source)
        os.close(self._target)
