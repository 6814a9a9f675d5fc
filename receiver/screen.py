# SPDX-License-Identifier: Apache-2.0
"""What a receiver's worker thread owns: decoder, playout buffer, and the picture of the moment.

Motion and ordinary video meet in one playout buffer, by tick: at a change of the mode the last
picture of the old one stands until the first of the new one is due, and none is shown twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from receiver.conceal import Concealer
from talkcodec.bitstream import Reference, classify
from talkcodec.bitstream.wire import REFERENCE
from talkcodec.clock import Clock, NullStopwatch, Stopwatch
from talkcodec.decoder import DecodedState, Decoder
from talkcodec.errors import BitstreamError, MissingReference
from talkcodec.media.rehearsal import rehearse_pictures, rehearse_renderer
from talkcodec.media.sinks import ShownFrame
from talkcodec.names import DEFAULT_RENDERER
from talkcodec.reference.codec import CodecId
from talkcodec.render.renderer import open_renderer
from talkcodec.rtc.assembly import LARGEST
from talkcodec.rtc.playout import PlayoutBuffer, PlayoutConfig
from talkcodec.rtc.stats import FreezeMeter
from talkcodec.types import U8, Mode

#: Packets kept until the reference or header they need arrives; the oldest is dropped beyond.
WAITING = 8

#: Seconds by which drawing begins early at most, so that a picture is there when it is due.
_LEAD = 0.03


@dataclass(slots=True)
class ScreenCounts:
    """``invalid``: packets the decoder refused. ``unready``: packets that had to wait for another
    one; ``forgotten``: the part of them dropped while waiting, oldest first. ``undrawn``: frames
    whose reference left the bank before their time. ``shown``: frames drawn. ``switches``: between
    motion and video; ``pictures``: of video that came, ``early`` of them before the stream header.
    ``concealed``: the part of ``shown`` that was made up for frames that did not come in time.
    """

    invalid: int = 0
    unready: int = 0
    forgotten: int = 0
    undrawn: int = 0
    shown: int = 0
    switches: int = 0
    pictures: int = 0
    early: int = 0
    concealed: int = 0


class Screen:
    """Decodes packets and shows their frames, each at its time.

    One thread owns it; others may read ``counts``, ``tick`` (newest shown), ``mode`` (of that),
    ``tick_rate`` (None before the header), ``draw_time`` (seconds that drawing a picture takes, of
    late) and ``held`` (sequence numbers of the references in the bank).
    ``banked`` is called with the sequence number of each reference that became usable, and
    ``stuck`` when a reference turned out broken, so that only a new key picture can help.
    """

    def __init__(
        self,
        show: Callable[[ShownFrame], None],
        banked: Callable[[int], None],
        stuck: Callable[[], None],
        *,
        playout: PlayoutConfig | None = None,
        stopwatch: Stopwatch | None = None,
        clock: Clock,
    ) -> None:
        self.counts = ScreenCounts()
        self.freezes = FreezeMeter()
        self.playout: PlayoutBuffer[DecodedState | av.VideoFrame] | None = None
        self.tick_rate: Fraction | None = None
        self.tick = 0
        self.mode: Mode = "motion"
        self.held: tuple[int, ...] = ()
        self._show = show
        self._banked = banked
        self._stuck = stuck
        self._concealer: Concealer | None = None
        self._lead = self.draw_time = 0.0
        self._reformatter = VideoReformatter()
        self._config = playout
        self._stopwatch = stopwatch or NullStopwatch()
        self._decoder = Decoder(stopwatch)
        self._clock = clock
        self._waiting: deque[tuple[float, bytes]] = deque()

    def prepare(self) -> None:
        """Draw once, before there is anything to draw; on any thread, before the first packet."""
        renderer = open_renderer(DEFAULT_RENDERER, self._stopwatch)
        rehearse_renderer(renderer)
        rehearse_pictures(CodecId.AV1)
        self._decoder = Decoder(self._stopwatch, renderer)

    def take(self, packet: bytes, arrived: float) -> None:
        """Decode a packet that arrived at ``arrived`` (seconds of the clock)."""
        if self._decode(packet, arrived) and classify(packet) != "motion":
            waiting, self._waiting = self._waiting, deque()
            for earlier, since in [(data, since) for since, data in waiting]:
                self.take(earlier, since)

    def picture(self, tick: int, frame: av.VideoFrame, arrived: float) -> None:
        """Take a picture of ordinary video, of ``tick``, that was decoded at ``arrived``."""
        self.counts.pictures += 1
        if self.playout is None or max(frame.width, frame.height) > LARGEST:
            self.counts.early += 1
            return
        self.playout.push(tick, frame, arrived)

    def draw_due(self) -> None:
        """Draw and show the newest frame whose time has come, if there is one."""
        begin = self._clock.now()
        due = self.playout.due(begin + self._lead) if self.playout is not None else None
        made_up = due is None
        due = due or self._made_up()
        if due is None:
            return
        self.tick, state = due
        try:
            with self._stopwatch.stage("draw"):
                picture = self._draw(state)
        except MissingReference:
            self.counts.undrawn += 1
            return
        took = self._clock.now() - begin
        self.draw_time += (took - self.draw_time) / 8
        # One that took long says little about the next: too early is no better than late.
        self._lead += (min(took, _LEAD) - self._lead) / 8
        mode: Mode = "video" if isinstance(state, av.VideoFrame) else "motion"
        self.counts.shown += 1
        self.counts.switches += mode != self.mode
        self.mode = mode
        self.freezes.shown(self._clock.now())
        time = float(self.tick / (self.tick_rate or 1))
        self._show(ShownFrame(picture, self.tick, time, mode, made_up))

    def _made_up(self) -> tuple[int, DecodedState] | None:
        """Return a frame in place of one whose time has come and that has not."""
        if self.playout is None or self._concealer is None or self.mode != "motion":
            return None
        tick = self.playout.missing(self._clock.now() + self._lead)
        state = None if tick is None else self._concealer.frame(tick)
        if tick is None or state is None:
            return None
        self.counts.concealed += 1
        return tick, state

    def _draw(self, state: DecodedState | av.VideoFrame) -> U8:
        if isinstance(state, DecodedState):
            return self._decoder.render(state)
        side = self._decoder.header.size
        return np.asarray(self._reformatter.reformat(state, side, side, "rgb24").to_ndarray())

    def patience(self) -> float | None:
        """Return the seconds until a frame is to be drawn, or None while there is none."""
        if self.playout is None:
            return None
        times = [self.playout.next_due()]
        if self.mode == "motion":
            times.append(self.playout.next_missing())
        due = min((time for time in times if time is not None), default=None)
        return None if due is None else max(due - self._lead - self._clock.now(), 0.0)

    def _decode(self, packet: bytes, arrived: float) -> bool:
        """Return whether the packet could be used now."""
        try:
            states = self._decoder.receive(packet)
        except MissingReference:
            self._keep(packet, arrived)
            return False
        except BitstreamError:
            self.counts.invalid += 1
            if packet[:1] == bytes((REFERENCE,)):
                self._stuck()
            return False
        self._note(packet)
        if self.playout is not None:
            for state in states:
                self.playout.push(state.tick, state, arrived, fresh=state.fresh)
                if self._concealer is not None:
                    self._concealer.add(state)
        return True

    def _note(self, packet: bytes) -> None:
        kind = classify(packet)
        if kind == "header" and self.playout is None:
            self.tick_rate = self._decoder.header.tick_rate
            self.playout = PlayoutBuffer(float(1 / self.tick_rate), self._config)
            self._concealer = Concealer(float(1 / self.tick_rate))
        elif kind == "reference":
            self.held = self._decoder.references
            self._banked(Reference.parse(packet).sequence)

    def _keep(self, packet: bytes, arrived: float) -> None:
        self.counts.unready += 1
        if len(self._waiting) == WAITING:
            self._waiting.popleft()
            self.counts.forgotten += 1
        self._waiting.append((arrived, packet))
