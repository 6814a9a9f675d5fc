# SPDX-License-Identifier: Apache-2.0
"""One set of channels for both directions: whom a message concerns."""

from __future__ import annotations

import random

import pytest

from talkcodec import weights
from talkcodec.bitstream.control import (
    Acknowledge,
    Bye,
    ControlMessage,
    ModeChange,
    Mute,
    SoundTime,
    parse_control,
    serialize_control,
)
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.media.sources import builtin_source
from talkcodec.rtc.duplex import DuplexSession
from talkcodec.rtc.messages import MAX_WAITING, Channel, greeting
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession
from talkcodec.types import Packet

HASH = weights.tables().hash


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    encoder = Encoder(EncoderConfig(startup=0.0))
    made = [encoder.header()]
    for frame in builtin_source(0.6):
        made += encoder.encode(frame)
    return made + encoder.flush()


def both() -> DuplexSession:
    return DuplexSession(SenderSession(HASH), ReceiverSession(greeting(HASH, (1,))))


def exchange(one: DuplexSession, other: DuplexSession, seconds: float = 3.0) -> None:
    for step in range(round(seconds * 100)):
        now = step / 100
        for side, far in ((one, other), (other, one)):
            for message in side.outgoing(now, 0):
                far.receive(message.data, now)


def test_two_streams_cross_without_disturbing_each_other(packets: list[Packet]) -> None:
    one, other = both(), both()
    for side in (one, other):
        assert side.sending is not None
        for packet in packets:
            side.sending.send(packet)
    exchange(one, other)
    for side in (one, other):
        assert side.sending is not None
        assert side.receiving is not None
        assert side.invalid == side.sending.counts.invalid == side.receiving.counts.invalid == 0
        assert side.receiving.counts.groups == side.sending.counts.groups > 0
        assert side.receiving.counts.references == side.sending.counts.references > 0
        assert side.sending.rtt is not None
        assert side.ended is None


def test_notices_of_media_come_out_once() -> None:
    one, other = both(), both()
    notices: list[ControlMessage] = [ModeChange("video", 7), SoundTime(3, 40_000), Mute()]
    for notice in notices:
        one.tell(notice)
    exchange(one, other, 0.1)
    assert other.notices() == notices
    assert other.notices() == []


def test_a_farewell_ends_both_directions() -> None:
    one, other = both(), both()
    one.end("lunch")
    exchange(one, other, 0.1)
    assert other.ended == "lunch"
    assert other.sending is not None
    assert other.receiving is not None
    assert other.sending.ended == other.receiving.ended == "lunch"


def test_what_concerns_nobody_is_counted() -> None:
    sends = DuplexSession(SenderSession(HASH))
    receives = DuplexSession(receiving=ReceiverSession())
    rng = random.Random(0)
    for data in (b"", b"\x99", b"\x04junk", *(b"\x00" + rng.randbytes(9) for _ in range(5))):
        sends.receive(data, 0.0)
    receives.receive(serialize_control(Acknowledge(1)), 0.0)
    assert receives.invalid == 1
    assert sends.invalid == 8
    assert sends.outgoing(0.0, 0) == []


def test_queues_are_bounded() -> None:
    session = both()
    for tick in range(MAX_WAITING + 5):
        session.tell(ModeChange("video", tick), Channel.MOTION)
    assert session.overflowed == 5
    messages = session.outgoing(0.0, 0)
    assert len(messages) == MAX_WAITING
    assert parse_control(messages[0].data) == ModeChange("video", 5)
    assert {message.channel for message in messages} == {Channel.MOTION}
    session.end()
    assert parse_control(session.outgoing(0.0, 0)[0].data) == Bye()
