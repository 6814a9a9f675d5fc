# SPDX-License-Identifier: Apache-2.0
"""How much ordinary video a path gets: bits, pictures a second, and their side.

VP8 cannot make a picture as small as one likes: at its coarsest quantiser a moving face of 256 by
256 takes 1200 to 1500 bits each time, 31 to 46 kbit/s at 25 and 30 a second, whatever rate it was
told. So where there is less than that, pictures are left out first, then they get smaller. The
rungs are where an encoder still makes what it is asked for, with a quarter to spare; measured by
``python -m talkcodec.rtc.videostudy``, see training/RESULTS-calls.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

#: Bytes that IPv4, UDP, RTP with its extensions, VP8's descriptor and SRTP's tag add to a packet,
#: and bytes of a picture that fit into one. Measured: tests/sender/test_video_call.py.
RTP_OVERHEAD, RTP_PAYLOAD = 72, 1296


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """``rate``: bits per second of VP8; ``divisor``: every so many-th picture goes out, 1 or more;
    ``side``: pixels of a picture's longer side at most.
    """

    rate: int
    divisor: int
    side: int


@dataclass(frozen=True, slots=True)
class VideoRung:
    """From ``least`` bits per second of VP8 on: ``pictures`` a second at most, ``side`` pixels."""

    least: float
    pictures: float
    side: int


#: The best first. Fewer than eight pictures a second would look like freezes over 0.2 s as soon as
#: one of them came a little late.
RUNGS = (
    VideoRung(160_000.0, 60.0, 512),
    VideoRung(60_000.0, 30.0, 256),
    VideoRung(34_000.0, 15.0, 256),
    VideoRung(26_000.0, 10.0, 256),
    VideoRung(17_000.0, 10.0, 192),
    VideoRung(11_500.0, 10.0, 128),
    VideoRung(0.0, 10.0, 96),
)


@dataclass(frozen=True, slots=True)
class VideoRateConfig:
    """When to send what. Rates are bits per second.

    ``floor``: of VP8, sent on any path. ``untried``: that a path is thought to carry of which
    nothing is known; what came through makes one think of ``more`` times as much and ``further``,
    at most. A new rate begins with a key picture, so few are worth it: less by a part of ``down``,
    at once; more by ``up``, not sooner than ``patience`` seconds after the last change, doubled up
    to ``patience_most`` when more was too much within ``trial`` seconds.
    """

    floor: float = 6_000.0
    untried: float = 30_000.0
    more: float = 1.5
    further: float = 8_000.0
    down: float = 0.1
    up: float = 0.25
    patience: float = 3.0
    patience_most: float = 24.0
    trial: float = 6.0


def wire_rate(plan: VideoPlan, fps: float) -> float:
    """Return the bits per second on the wire of ``plan``, from ``fps`` pictures a second."""
    return plan.rate + _headers(plan.divisor, fps)


def best_plan(budget: float, limit: float, fps: float, floor: float = 6_000.0) -> VideoPlan:
    """Return what fits into ``budget`` bits per second on the wire.

    ``limit``: bits per second of VP8 at most; ``fps``: pictures a second of the source. What does
    not fit even so gets the ``floor``.
    """
    for rung in RUNGS:
        divisor = max(ceil(fps / rung.pictures - 1e-6), 1)
        rate = min(budget - _headers(divisor, fps), limit)
        if rate >= rung.least:
            break
    return VideoPlan(int(min(max(rate, floor), limit)), divisor, rung.side)


def _headers(divisor: int, fps: float) -> float:
    return 8 * RTP_OVERHEAD * fps / divisor


class VideoRate:
    """Sans-I/O: told what the path has to spare; says what to send. Time is the caller's, growing.

    ``fps``: pictures a second of the source.
    """

    def __init__(self, fps: float = 25.0, config: VideoRateConfig | None = None) -> None:
        self.fps = fps
        self.config = config or VideoRateConfig()
        self.plan = best_plan(0.7 * self.config.untried, 100_000.0, fps, self.config.floor)
        self._patience = self.config.patience
        self._changed = self._climbed = float("-inf")

    def begin(self, budget: float, limit: float, now: float) -> VideoPlan:
        """Return the plan for ``budget`` bits per second on the wire, whatever was before it."""
        self.plan = best_plan(budget, limit, self.fps, self.config.floor)
        self._changed = now
        self._patience = self.config.patience
        return self.plan

    def follow(self, budget: float, limit: float, now: float) -> VideoPlan:
        """Return the plan in force, changed where ``budget`` has moved far enough."""
        config, plan = self.config, self.plan
        wanted = best_plan(budget, limit, self.fps, config.floor)
        if wanted.rate < (1 - config.down) * plan.rate or plan.rate > limit:
            if now - self._climbed < config.trial:
                self._patience = min(2 * self._patience, config.patience_most)
            elif now - self._changed > config.trial:
                self._patience = config.patience
            # One climb fails once, in however many steps things get worse.
            self.plan, self._changed, self._climbed = wanted, now, float("-inf")
        elif (
            wanted.rate > plan.rate
            and wanted.rate >= min((1 + config.up) * plan.rate, limit)
            and now - self._changed >= self._patience
        ):
            self.plan, self._changed, self._climbed = wanted, now, now
        return self.plan
