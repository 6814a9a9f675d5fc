# SPDX-License-Identifier: Apache-2.0
"""What a receiver's worker thread owns: decoder, playout buffer, and the picture of the moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from talkcodec.bitstream import Reference, classify
from talkcodec.bitstream.wire import REFERENCE
from talkcodec.clock import Clock, Stopwatch
from talkcodec.decoder import DecodedFrame, DecodedState, Decoder
from talkcodec.errors import BitstreamError, MissingReference
from talkcodec.rtc.playout import PlayoutBuffer, PlayoutConfig
from talkcodec.rtc.stats import FreezeMeter

#: Packets kept until the reference or header they need arrives; the oldest is dropped beyond.
WAITING = 8


@dataclass(slots=True)
class ScreenCounts:
    """``invalid``: packets the decoder refused. ``unready``: packets that had to wait for another
    one; ``forgotten``: the part of them dropped while waiting, oldest first. ``undrawn``: frames
    whose reference left the bank before their time. ``shown``: frames drawn.
    """

    invalid: int = 0
    unready: int = 0
    forgotten: int = 0
    undrawn: int = 0
    shown: int = 0


class Screen:
    """Decodes packets and shows their frames, each at its time.

    One thread owns it; others may read ``counts``, ``tick`` (newest shown) and ``held`` (sequence
    numbers of the references in the bank).
    ``banked`` is called with the sequence number of each reference that became usable, and
    ``stuck`` when a reference turned out broken, so that only a new key picture can help.
    """

    def __init__(
        self,
        show: Callable[[DecodedFrame], None],
        banked: Callable[[int], None],
        stuck: Callable[[], None],
        *,
        playout: PlayoutConfig | None = None,
        stopwatch: Stopwatch | None = None,
        clock: Clock,
    ) -> None:
        self.counts = ScreenCounts()
        self.freezes = FreezeMeter()
        self.playout: PlayoutBuffer[DecodedState] | None = None
        self.tick = 0
        self.held: tuple[int, ...] = ()
        self._show = show
        self._banked = banked
        self._stuck = stuck
        self._config = playout
        self._decoder = Decoder(stopwatch)
        self._clock = clock
        self._waiting: deque[tuple[float, bytes]] = deque()

    def take(self, packet: bytes, arrived: float) -> None:
        """Decode a packet that arrived at ``arrived`` (seconds of the clock)."""
        if self._decode(packet, arrived) and classify(packet) != "motion":
            waiting, self._waiting = self._waiting, deque()
            for earlier, since in [(data, since) for since, data in waiting]:
                self.take(earlier, since)

    def draw_due(self) -> None:
        """Draw and show the newest frame whose time has come, if there is one."""
        due = self.playout.due(self._clock.now()) if self.playout else None
        if due is None:
            return
        self.tick, state = due
        try:
            picture = self._decoder.render(state)
        except MissingReference:
            self.counts.undrawn += 1
            return
        self.counts.shown += 1
        self.freezes.shown(self._clock.now())
        self._show(DecodedFrame(picture, state.tick))

    def patience(self) -> float | None:
        """Return the seconds until a frame is due, or None while there is none."""
        due = self.playout.next_due() if self.playout else None
        return None if due is None else max(due - self._clock.now(), 0.0)

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
        return True

    def _note(self, packet: bytes) -> None:
        kind = classify(packet)
        if kind == "header" and self.playout is None:
            self.playout = PlayoutBuffer(float(1 / self._decoder.header.tick_rate), self._config)
        elif kind == "reference":
            self.held = self._decoder.references
            self._banked(Reference.parse(packet).sequence)

    def _keep(self, packet: bytes, arrived: float) -> None:
        self.counts.unready += 1
        if len(self._waiting) == WAITING:
            self._waiting.popleft()
            self.counts.forgotten += 1
        self._waiting.append((arrived, packet))
