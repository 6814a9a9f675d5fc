# SPDX-License-Identifier: Apache-2.0
"""Packets that are sent again because they were asked for, on times that the test chooses."""

from __future__ import annotations

import random
from typing import Any, cast

from aiortc.rtp import RTCP_RTPFB_NACK, AnyRtcpPacket, RtcpRtpfbPacket

from talkcodec.clock import ManualClock
from talkcodec.rtc.feedback import REMEMBERED, REPEATS, Repeats
from talkcodec.rtc.link import LinkConfig, VirtualLink


class Sender:
    """What aiortc's sender does with requests: each number named is sent."""

    def __init__(self) -> None:
        self.again: list[int] = []

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        self.again += cast("RtcpRtpfbPacket", packet).lost


def repeats(clock: ManualClock) -> tuple[Any, Repeats]:
    sender: Any = Sender()
    return sender, Repeats(sender, clock)


async def ask(sender: Any, *numbers: int) -> None:
    request = RtcpRtpfbPacket(RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2, lost=list(numbers))
    await sender._handle_rtcp_packet(request)


async def test_a_packet_is_not_sent_again_while_its_copy_may_be_on_its_way() -> None:
    clock = ManualClock()
    sender, guard = repeats(clock)
    guard.rtt = 0.3
    await ask(sender, 7, 7)
    clock.advance(0.08)
    await ask(sender, 7, 8)
    clock.advance(0.12)
    await ask(sender, 7)
    assert sender.again == [7, 8]
    assert (guard.early, guard.refused) == (2, 0)
    clock.advance(0.15)
    await ask(sender, 7)  # and now it has got lost
    assert sender.again == [7, 8, 7]


async def test_on_a_short_path_a_lost_copy_is_made_up_for_at_once() -> None:
    clock = ManualClock()
    sender, guard = repeats(clock)
    guard.rtt = 0.05
    await ask(sender, 7)
    clock.advance(0.08)
    await ask(sender, 7)
    assert sender.again == [7, 7]


async def test_requests_at_a_queue_make_it_no_longer() -> None:
    # At 20 kbit/s ten pictures wait for two seconds, and one is asked for all the time.
    clock = ManualClock()
    link = VirtualLink(LinkConfig(rtt=0.05, rate=20_000.0), random.Random(1))
    link.impair(link.config, 0.0)
    sender, guard = repeats(clock)
    guard.rtt = 2.0
    for number in range(10):
        link.send(bytes([number]) * 500, 0.0)
    came = 0
    for _ in range(40):
        await ask(sender, 42)
        for number in sender.again:
            link.send(bytes([number]) * 500, clock.now())
        sender.again.clear()
        clock.advance(0.08)
        came += sum(datagram[0] == 42 for datagram in link.due(clock.now()))
    assert came == 1
    assert link.counts.offered < 13


async def test_what_is_remembered_of_a_peer_that_asks_for_everything_is_bounded() -> None:
    clock = ManualClock()
    sender, guard = repeats(clock)
    for first in range(0, 6000, 100):
        await ask(sender, *range(first, first + 100))
        clock.advance(1.0)
    assert len(guard._repeated) <= REMEMBERED
    assert len(sender.again) <= REPEATS.burst + 60 * REPEATS.per_second
    assert guard.refused == 6000 - len(sender.again)
