# SPDX-License-Identifier: Apache-2.0
"""Video that keeps to a path, on a clock and over a bottleneck of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from aiortc.rtcrtpsender import RTT_ALPHA

from sender.steering import Meter, Steering
from talkcodec.rtc.linereport import LineReport
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.videorate import RTP_OVERHEAD, VideoPlan
from talkcodec.types import Mode, StreamSettings

FPS, LIMIT = 25.0, 100_000


@dataclass
class Bottleneck:
    """Carries ``rate`` bits per second, behind a queue of ``longest`` seconds; reports on it."""

    rate: float
    longest: float = 0.3
    loss: float = 0.0
    queue: float = 0.0
    lost: list[int] = field(default_factory=list)
    _report: LineReport | None = None

    def pass_time(self, seconds: float) -> None:
        self.queue = max(self.queue - seconds, 0.0)

    def send(self, size: int) -> None:
        full = self.queue + 8 * size / self.rate > self.longest
        self.lost.append(int(full))
        if not full:
            self.queue += 8 * size / self.rate

    def tell(self, now: float) -> None:
        """Report, as aiortc does."""
        rtt, before = 0.05 + self.queue, self._report.rtt if self._report else None
        smoothed = rtt if before is None else RTT_ALPHA * before + (1 - RTT_ALPHA) * rtt
        lost = sum(self.lost) / max(len(self.lost), 1)
        self._report = LineReport(now, max(lost, self.loss), smoothed)
        self.lost.clear()

    async def report(self) -> LineReport | None:
        return self._report


class Clip:
    """A call's pictures, one every 40 ms, each as large as the plan says."""

    def __init__(self, path: Bottleneck, estimate: float | None = None) -> None:
        self.path = path
        self.session = SenderSession(bytes(8), best=StreamSettings(3))
        if estimate is not None:
            self.session.rate.estimate, self.session.rate._told = estimate, True
            self.session.rate._alone.append(1e6)
        self.steering = Steering(self.session, FPS)
        self.now, self.tick = 100.0, 0
        self.sound = (0, 0)
        self.plans: list[VideoPlan] = []
        self.queues: list[float] = []

    async def play(self, mode: Mode, seconds: float, *, sounds: bool = False) -> None:
        for _ in range(round(seconds * FPS)):
            self.now, self.tick = self.now + 1 / FPS, self.tick + 1
            self.path.pass_time(1 / FPS)
            if sounds:
                self.sound = self.sound[0] + 2, self.sound[1] + 2 * 50
            plan = self.steering.plan
            if mode == "video" and self.tick % plan.divisor == 0:
                size = round(plan.rate / 8 / FPS * plan.divisor)
                self.steering.sent(size)
                self.path.send(size + RTP_OVERHEAD)
            if self.tick % 25 == 0 and mode == "video":
                self.path.tell(self.now)
            self.plans.append(self.steering.look(mode, LIMIT, self.sound, self.now))
            await self.steering.hear(self.path, self.now)
            self.queues.append(self.path.queue)


async def test_an_untried_path_gets_little_at_first_and_then_all_that_is_allowed() -> None:
    clip = Clip(Bottleneck(1e6))
    await clip.play("motion", 0.2)
    await clip.play("video", 1)
    assert clip.plans[-1].rate < 40_000
    await clip.play("video", 40)
    assert clip.plans[-1] == VideoPlan(LIMIT, 1, 256)


@pytest.mark.parametrize("rate", [20_000.0, 40_000.0, 80_000.0])
async def test_a_narrow_path_gets_what_it_carries(rate: float) -> None:
    clip = Clip(Bottleneck(rate), estimate=100_000.0)
    await clip.play("motion", 0.2)
    await clip.play("video", 10)
    settled = len(clip.plans)
    await clip.play("video", 60)
    standing = sum(queue > 0.2 for queue in clip.queues[settled:])
    assert standing < 0.05 * len(clip.queues[settled:])
    mean = sum(plan.rate for plan in clip.plans[settled:]) / len(clip.plans[settled:])
    assert 0.3 * rate < mean < rate


async def test_a_path_that_narrows_is_followed_within_three_seconds() -> None:
    clip = Clip(Bottleneck(400_000.0), estimate=300_000.0)
    await clip.play("motion", 0.2)
    await clip.play("video", 10)
    assert clip.plans[-1].rate == LIMIT
    clip.path.rate = 40_000.0
    await clip.play("video", 3)
    assert clip.plans[-1].rate < 40_000


async def test_loss_that_was_there_before_costs_nothing() -> None:
    clip = Clip(Bottleneck(1e6, loss=0.2), estimate=300_000.0)
    clip.session._path.state = clip.session._path.state.__class__(loss=0.2, counted=100)
    await clip.play("motion", 0.2)
    await clip.play("video", 20)
    assert min(plan.rate for plan in clip.plans) == LIMIT


async def test_sound_has_its_part_and_motion_gets_references_back() -> None:
    clip = Clip(Bottleneck(1e6), estimate=80_000.0)
    await clip.play("motion", 3)
    alone = clip.plans[-1].rate
    pace = clip.session.pace
    await clip.play("motion", 3, sounds=True)
    assert clip.plans[-1].rate < alone - 8 * 50 * RTP_OVERHEAD / 2
    await clip.play("video", 0.2, sounds=True)
    assert clip.session.pace < pace
    await clip.play("motion", 0.2)
    assert clip.session.pace == pytest.approx(pace, rel=0.2)


def test_a_meter_tells_the_last_full_second() -> None:
    meter = Meter()
    rates = [meter.rate(100 * turn, turn / 2) for turn in range(5)]
    assert rates == [0.0, 0.0, 1600.0, 1600.0, 1600.0]
