# SPDX-License-Identifier: Apache-2.0
"""Times of packets between two sessions, without a network."""

from __future__ import annotations

from fractions import Fraction

import pytest

from talkcodec.bitstream import Reference, StreamHeader
from talkcodec.clock import ManualClock
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.transit import Transit
from talkcodec.types import Packet

TABLES = bytes(8)


def motion(tick: int) -> Packet:
    return Packet("motion", bytes((0xC0, tick, 0, 0)) + bytes(36), tick)


def test_what_passes_is_timed_and_what_does_not_is_awaited() -> None:
    clock = ManualClock(5.0)
    sender, receiver = SenderSession(TABLES), ReceiverSession()
    transit = Transit(sender, receiver, clock)
    picture = Reference(3, 0, True, 0, (0,), None, None, 1, bytes(300)).serialize()
    sender.send(Packet("header", StreamHeader(256, Fraction(25), TABLES).serialize(), 0))
    for packet in (motion(0), Packet("reference", picture, 0)):
        sender.send(packet)
    assert transit.awaited() == [5.0]
    for _ in range(40):
        for message in sender.outgoing(clock.now(), 0):
            receiver.receive(message.data, clock.now() + 0.025)
        clock.advance(0.05)
    assert transit.awaited() == []
    assert [(each.size, each.seconds) for each in transit.motion] == [(40, 0.0)]
    (reference,) = transit.references
    assert (reference.sent, reference.size) == (5.0, len(picture))
    assert 0 < reference.seconds < 1
    sender.send(motion(3))
    clock.advance(0.07)
    receiver.receive(sender.outgoing(clock.now(), 0)[0].data, clock.now())
    assert transit.motion[-1].seconds == pytest.approx(0.07)


def test_what_never_comes_is_forgotten_one_day() -> None:
    clock = ManualClock()
    sender = SenderSession(TABLES)
    transit = Transit(sender, ReceiverSession(), clock)
    for tick in range(2000):
        sender.send(Packet("motion", bytes((0xC0, tick & 255, tick >> 8, 0)) + bytes(8), tick))
    assert len(transit._awaited) <= 512
