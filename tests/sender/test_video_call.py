# SPDX-License-Identifier: Apache-2.0
"""Ordinary video over a real connection: what its packets weigh, and what is told of them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from receiver import Receiver
from sender import Sender
from talkcodec.encoder import EncoderConfig
from talkcodec.rtc.relay import UdpRelay
from talkcodec.rtc.videorate import RTP_OVERHEAD
from talkcodec.types import Frame
from tests.rtc.waiting import until
from tests.sender.moving import portrait
from tests.sender.test_sender_call import Tracker

#: Bytes of IPv4 and UDP, and the kind of RTCP packets (RFC 5761 section 4).
_DATAGRAM, _RTCP = 28, range(192, 224)


async def test_packets_weigh_what_is_thought_and_reports_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay, passed = await UdpRelay.open(), []
    link = relay._forward.link
    send = link.send

    def noted(datagram: bytes, now: float) -> None:
        if 128 <= datagram[0] < 192 and datagram[1] not in _RTCP:
            passed.append(len(datagram) + _DATAGRAM)
        send(datagram, now)

    monkeypatch.setattr(link, "send", noted)
    shown: list[object] = []
    receiver = Receiver(shown.append)
    sender = Sender(EncoderConfig(), tracker=Tracker())
    await sender.accept(relay.answer(await receiver.answer(relay.offer(await sender.offer()))))
    await receiver.connected()
    sender.set_mode("video")
    pictures, tick = portrait(2.0), 0

    def reported() -> bool:
        nonlocal tick
        sender.put(Frame(pictures[tick % len(pictures)], tick, Fraction(1, 25)))
        tick += 1
        # A second report tells a rate, and a path of nothing but video is known by it.
        return sender.session.rate.estimate > 31_000 and len(shown) > 5

    await until(reported)
    media = sender.media()
    await sender.close()
    await receiver.close()
    relay.close()
    assert media.video_divisor > 1
    assert len(passed) >= media.video_pictures - 1
    mean = sum(passed) / len(passed) - media.video_bytes / media.video_pictures
    assert abs(mean - RTP_OVERHEAD) < 12
