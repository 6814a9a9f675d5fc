# SPDX-License-Identifier: Apache-2.0
"""Keeps ordinary video within what the path is thought to carry beside sound and references.

While there is motion its reports tell of the path, and a plan for video is always at hand. While
there is video the other side's reports on the line tell, and correct the same estimate.
"""

from __future__ import annotations

from typing import Protocol

from talkcodec.rtc.linereport import LinePath, LineReport
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.videorate import (
    RTP_OVERHEAD,
    RTP_PAYLOAD,
    VideoPlan,
    VideoRate,
    VideoRateConfig,
    wire_rate,
)
from talkcodec.types import Mode


class Reporting(Protocol):
    """A line, as far as it is needed here."""

    async def report(self) -> LineReport | None:
        """Return what the other side told last."""


class Meter:
    """Bits per second of something that is counted in bytes, over the last full second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._since: tuple[float, int] | None = None

    def rate(self, total: int, now: float) -> float:
        """Return the rate; ``total``: bytes so far, ``now``: seconds."""
        if self._since is None:
            self._since = now, total
        elif now - self._since[0] >= 1.0:
            self._rate = 8 * (total - self._since[1]) / (now - self._since[0])
            self._since = now, total
        return self._rate


class Steering:
    """Belongs to the event loop's thread. Time is seconds of the caller's clock.

    ``fps``: pictures a second of the source.
    """

    def __init__(
        self, session: SenderSession, fps: float, config: VideoRateConfig | None = None
    ) -> None:
        self._session = session
        self._video = VideoRate(fps, config)
        self._line = LinePath()
        self._sound = Meter()
        self._mode: Mode = "motion"
        self._media = self._taken = 0.0

    @property
    def plan(self) -> VideoPlan:
        """What video should be now."""
        return self._video.plan

    def joined(self) -> None:
        """Another connection stands: nothing that was told of the last one goes on."""
        self._line = LinePath()

    def sent(self, size: int) -> None:
        """A picture of ``size`` bytes leaves."""
        self._media += size + RTP_OVERHEAD * -(-size // RTP_PAYLOAD)

    def look(self, mode: Mode, limit: int, sound: tuple[int, int], now: float) -> VideoPlan:
        """Return the plan of this moment.

        ``limit``: bits per second of VP8 at most; ``sound``: its packets and bytes so far.
        """
        rate, (packets, size) = self._session.rate, sound
        heard = size + packets * RTP_OVERHEAD
        self._taken = self._media + heard
        taken = self._sound.rate(heard, now)
        if mode == "video" and self._mode == "motion":
            self._line.begin(self._session.rtt, self._session.loss, now)
            if not rate.measured:
                rate.estimate = min(rate.estimate, self._video.config.untried + taken)
        self._mode = mode
        budget = rate.spare(taken)
        # The first picture was made by the plan there was, and another rate costs another key.
        decide = self._video.follow if mode == "video" else self._video.begin
        plan = decide(budget, limit, now)
        rate.beside = wire_rate(plan, self._video.fps) if mode == "video" else 0.0
        return plan

    async def hear(self, line: Reporting, now: float) -> None:
        """Take what the other side told of ``line``."""
        report = await line.report()
        if report is None or self._mode != "video":
            return
        state = self._line.take(report, self._taken + self._session.counts.wire_sent, now)
        if state is None:
            return
        before, rate = self._session.rate.estimate, self._session.rate
        self._session.take_line(state, now)
        if state.received is not None:
            # Video that overloads a path is seen late, so no leap into what was never tried.
            config = self._video.config
            tried = config.more * state.received + config.further
            rate.estimate = min(rate.estimate, max(before, tried))
