# SPDX-License-Identifier: Apache-2.0
"""Which way pictures go now: as motion, or, where a face cannot be represented, as video.

The encoder works on in either mode, so that it knows when the face is back and its references are
there. Going over to video ends the motion at once, for it may be wrong. Coming back, video goes on
until the first motion is ready, so that the other side never waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from talkcodec.bitstream.control import ModeChange
from talkcodec.rtc.videorate import RUNGS, VideoPlan
from talkcodec.types import U8, Mode, Packet

if TYPE_CHECKING:
    from talkcodec.media.vp8 import Vp8Encoder


@dataclass(frozen=True, slots=True)
class FallbackConfig:
    """``rate``: bits per second of video at most; the path may call for less. ``refresh``: seconds
    between key pictures, which end what a lost packet spoilt; the receiver may ask for one earlier.
    """

    rate: int = 100_000
    refresh: float = 5.0

    def __post_init__(self) -> None:
        if self.rate < 10_000 or self.refresh <= 0:
            raise ValueError(f"expected a rate of 10000 or more and a refresh, found {self}")


@dataclass(frozen=True, slots=True)
class VideoPicture:
    """``data``: one VP8 frame of the picture at ``tick``; ``key``: decodable by itself."""

    data: bytes
    tick: int
    key: bool


@dataclass(slots=True)
class FallbackCounts:
    """Totals: ``switches`` between the modes; ``pictures`` and ``bytes`` of video."""

    switches: int = 0
    pictures: int = 0
    bytes: int = 0


class Fallback:
    """Belongs to the thread that encodes; others may set ``wanted``, ``limit`` and ``plan``.

    ``mode``: how pictures go now; ``since``: the tick of the last switch. ``limit``: bits per
    second of video that the caller allows; ``plan``: what the path does, within that.
    """

    def __init__(self, config: FallbackConfig, tick_rate: Fraction) -> None:
        self.wanted: Mode = "motion"
        self.mode: Mode = "motion"
        self.since = 0
        self.limit = config.rate
        self.plan = VideoPlan(config.rate, 1, RUNGS[0].side)
        self.counts = FallbackCounts()
        self._refresh = max(round(config.refresh * tick_rate), 1)
        self._tick_rate = tick_rate
        self._encoder: Vp8Encoder | None = None
        self._key_at = 0
        self._newest = -1
        self._due = 0

    @property
    def leaving_motion(self) -> bool:
        """Whether the next frame is the first of a switch to video."""
        return self.mode == "motion" and self.wanted == "video"

    def step(
        self, packets: list[Packet], canvas: Callable[[], U8], tick: int, *, key: bool
    ) -> tuple[list[Packet], VideoPicture | None]:
        """Return what of the frame at ``tick`` goes out: ``packets``, a picture, or both.

        ``packets``: what the encoder made of it. ``canvas`` gives the picture, if it is needed.
        ``key``: the receiver cannot go on without a key picture. Of pictures on one tick, from a
        camera faster than the ticks, the first goes out: RTP would take two for one. Of others,
        as many as are planned; a key picture does not wait.
        """
        if self.leaving_motion:
            self._switch("video", tick)
            self._key_at = self._due = tick
        elif self.mode == "video" and self.wanted == "motion":
            first = next((packet for packet in packets if packet.kind == "motion"), None)
            if first is not None:
                self._switch("motion", first.tick)
        if self.mode == "motion":
            return packets, None
        kept = [packet for packet in packets if packet.kind != "motion"]
        if key:
            self._key_at = tick
        if tick <= self._newest or tick < min(self._due, self._key_at):
            return kept, None
        self._newest = tick
        return kept, self._picture(canvas(), tick)

    def change(self) -> ModeChange:
        """Return what the other side must know of the mode.

        It guesses by the tick which picture comes first on a connection, so the newest is told.
        """
        return ModeChange(self.mode, max(self.since, self._newest))

    def _switch(self, mode: Mode, tick: int) -> None:
        self.mode, self.since = mode, tick
        self.counts.switches += 1

    def _picture(self, picture: U8, tick: int) -> VideoPicture:
        from talkcodec.media.vp8 import Vp8Encoder, is_key

        plan = self.plan
        rate, pictures = min(plan.rate, self.limit), self._tick_rate / plan.divisor
        if self._encoder is None:
            self._encoder = Vp8Encoder(rate, pictures, plan.side)
        self._encoder.rate, self._encoder.frame_rate = rate, pictures
        self._encoder.side = plan.side
        data = self._encoder.encode(picture, key=tick >= self._key_at)
        key = is_key(data)
        if key:
            self._key_at = tick + self._refresh
        self._due = tick + plan.divisor
        self.counts.pictures += 1
        self.counts.bytes += len(data)
        return VideoPicture(data, tick, key)
