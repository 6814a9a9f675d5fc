# SPDX-License-Identifier: Apache-2.0
"""Both sessions of a call, joined by virtual links, on a clock that the test moves."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.bitstream import (
    Arrival,
    PathReport,
    Reference,
    StreamHeader,
    classify,
    encode_group,
    group_tick,
)
from talkcodec.bitstream.control import Bye, Nack, RequestReference, Stream, serialize_control
from talkcodec.bitstream.samples import sample_group, sample_reference, sample_stream, sample_tables
from talkcodec.clock import ManualClock
from talkcodec.rtc.arrivals import REPORT_INTERVAL
from talkcodec.rtc.driver import Session
from talkcodec.rtc.link import LinkConfig, VirtualLink
from talkcodec.rtc.messages import MAX_WAITING, Channel, greeting
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession
from talkcodec.types import Packet, StreamSettings

TABLES = sample_tables(8)
STEP = 0.005
HEADER = StreamHeader(256, Fraction(25), TABLES.hash).serialize()


class Wire:
    """A sender and a receiver with a link each way; channels other than CONTROL lose messages."""

    def __init__(self, config: LinkConfig, seed: int = 0) -> None:
        self.clock = ManualClock()
        self.sender = SenderSession(TABLES.hash)
        self.receiver = ReceiverSession(greeting(TABLES.hash, (1, 2)))
        self.lossy = [VirtualLink(config, random.Random(seed + way)) for way in range(2)]
        self.sure = [VirtualLink(replace(config, loss=0), random.Random(0)) for _ in range(2)]
        self.arrived: list[tuple[float, bytes]] = []

    def run(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            now = self.clock.now()
            self._carry(0, self.sender, self.receiver)
            self._carry(1, self.receiver, self.sender)
            for packet in self.receiver.packets():
                self.arrived.append((now, packet))
                if classify(packet) == "reference":
                    self.receiver.banked(Reference.parse(packet).sequence)
            self.clock.advance(STEP)

    def _carry(self, way: int, here: Session, there: Session) -> None:
        now = self.clock.now()
        for message in here.outgoing(now, 0):
            sure = message.channel is Channel.CONTROL
            (self.sure if sure else self.lossy)[way].send(message.data, now)
        for data in self.sure[way].due(now) + self.lossy[way].due(now):
            there.receive(data, now)

    def times(self, kind: str) -> list[float]:
        """Return when packets of ``kind`` arrived."""
        return [time for time, packet in self.arrived if classify(packet) == kind]


def big_reference(sequence: int, size: int = 4000) -> Packet:
    """Return a key reference with a picture of ``size`` bytes."""
    made = sample_reference(random.Random(sequence), TABLES.dimension, sequence, 0)
    picture = random.Random(sequence).randbytes(size)
    data = replace(made, key=True, picture=picture).serialize()
    return Packet("reference", data, 0)


def test_a_stream_arrives_whole_over_a_clean_path() -> None:
    packets, _ = sample_stream(random.Random(1), TABLES, 12)
    wire = Wire(LinkConfig(rtt=0.05))
    for packet in packets:
        wire.sender.send(packet)
        wire.run(0.12)
    wire.run(1.0)
    assert sorted(packet for _, packet in wire.arrived) == sorted(p.data for p in packets)
    assert wire.sender.counts.groups == wire.receiver.counts.groups == 12
    assert wire.receiver.counts.requests == 0
    assert wire.sender.chunks_repaired == 0
    counts = wire.sender.counts
    sent = counts.header_bytes + counts.motion_bytes + counts.reference_bytes
    assert sent == wire.receiver.counts.payload_bytes == sum(len(p.data) for p in packets)


def test_after_a_pause_longer_than_16_bits_of_ticks_the_header_comes_again() -> None:
    """Twenty minutes of ordinary video, say: without it the tick would be off by 65536."""
    packets, meaning = sample_stream(random.Random(1), TABLES, 2)
    reference = next(item for item in meaning if isinstance(item, Reference))
    wire = Wire(LinkConfig(rtt=0.05))
    for packet in packets:
        wire.sender.send(packet)
    wire.run(1.0)
    ticks = [200, 200 + 2**15, 203 + 2**15, 10**6]
    sent = []
    for tick in ticks:
        group = sample_group(random.Random(tick), TABLES, reference, tick, rich=False)
        sent.append(Packet("motion", encode_group(group, reference.state, TABLES), tick))
    wire.arrived.clear()
    last, found = packets[-1].tick, []
    for packet in sent:
        wire.sender.send(packet)
        wire.run(1.0)
    for _, data in wire.arrived:
        if classify(data) == "header":
            last = StreamHeader.parse(data).tick
        else:
            last = group_tick(data, last)
            found.append(last)
    assert found == ticks
    assert len(wire.times("header")) == 2


def test_a_reference_costs_its_chunks_and_half_a_round_trip() -> None:
    wire = Wire(LinkConfig(rtt=0.05))
    wire.sender.send(big_reference(0))
    wire.run(2.0)
    # Nine chunks of up to 450 B, one under way at a time, each reported at once, the last one by
    # its acknowledgement; one of parity leaves before that is there.
    assert wire.times("reference") == [pytest.approx(10 * 0.055 + 0.025, abs=0.1)]
    assert wire.sender.counts.chunks == 10
    assert wire.sender.rtt == pytest.approx(0.05, abs=0.011)


def test_a_few_lost_chunks_cost_no_round_trip() -> None:
    requests = recovered = 0
    for seed in range(4):
        wire = Wire(LinkConfig(loss=0.05, rtt=0.05), seed)
        for sequence in range(20):
            wire.sender.send(big_reference(sequence))
            wire.run(2.0)
        assert len(wire.times("reference")) == 20
        recovered += wire.receiver.references_recovered
        requests += wire.receiver.counts.requests
    # Nine chunks of data each: two references out of five lose one, and ask for nothing.
    assert recovered >= 20
    assert requests < recovered


@pytest.mark.parametrize("seed", range(6))
def test_references_survive_loss_and_motion_does_not_wait_for_them(seed: int) -> None:
    wire = Wire(LinkConfig(loss=0.3, rtt=0.05), seed * 10)
    sent = {}
    for number in range(60):
        if number % 20 == 0:
            wire.sender.send(big_reference(number // 20))
        data = bytes((0x80, number * 3, 0, number // 20)) + bytes(30)
        sent[data] = wire.clock.now()
        wire.sender.send(Packet("motion", data, number * 3))
        wire.run(0.12)
    wire.run(6.0)
    assert len(wire.times("reference")) == 3
    assert 30 <= len(wire.times("motion")) <= 54
    delays = [time - sent[data] for time, data in wire.arrived if classify(data) == "motion"]
    assert max(delays) < 0.05
    assert wire.sender.loss is not None
    assert 0.1 <= wire.sender.loss <= 0.5


def test_a_reference_of_which_everything_was_lost_is_asked_for() -> None:
    wire = Wire(LinkConfig(loss=1.0))
    wire.sender.send(big_reference(0))
    wire.run(1.0)
    assert wire.arrived == []
    for link in wire.lossy:
        link.config = LinkConfig()
    packets, _ = sample_stream(random.Random(1), TABLES, 1)
    wire.sender.send(packets[-1])  # motion that names reference 0
    wire.run(1.5)
    assert len(wire.times("reference")) == 1
    assert wire.sender.chunks_repaired > 0


def test_while_a_key_reference_is_under_way_a_request_still_brings_a_key_picture() -> None:
    wire = Wire(LinkConfig(rtt=0.05))
    wire.lossy[0].config = LinkConfig(loss=1.0)
    wire.sender.send(big_reference(0))
    wire.run(0.5)
    wire.receiver.request_reference()
    wire.run(0.5)
    assert not wire.sender.take_request()
    assert wire.sender.take_picture_request()
    assert not wire.sender.take_picture_request()


def test_a_skipped_reference_is_noticed_when_the_next_one_comes() -> None:
    wire = Wire(LinkConfig())
    wire.sender.send(big_reference(0, 50))
    wire.run(0.1)
    wire.lossy[0].config = LinkConfig(loss=1.0)
    wire.sender.send(big_reference(1, 50))
    wire.run(0.1)
    wire.lossy[0].config = LinkConfig()
    wire.sender.send(big_reference(2, 50))
    wire.run(1.0)
    order = [Reference.parse(data).sequence for _, data in wire.arrived]
    assert order == [0, 2, 1]


def test_a_reference_that_cannot_come_makes_the_receiver_ask_for_a_new_one() -> None:
    wire = Wire(LinkConfig())
    packets, _ = sample_stream(random.Random(1), TABLES, 1)
    wire.sender.send(packets[-1])
    wire.run(0.2)
    assert not wire.sender.take_request()
    wire.run(0.2)
    assert wire.sender.take_request()
    assert not wire.sender.take_request()
    wire.run(6.0)
    assert wire.receiver.references_given_up == 1


def test_a_reference_in_use_is_never_asked_for_however_long_ago_it_came() -> None:
    wire = Wire(LinkConfig())
    motion = Packet("motion", bytes((0x80, 0, 0, 0)) + bytes(30), 0)  # drawn from reference 0
    for sequence in range(40):
        wire.sender.send(big_reference(sequence, 50))
        wire.run(0.1)
    assert len(wire.times("reference")) == 40
    wire.receiver.fare(0.0, (37, 38, 39, 0))
    wire.sender.send(motion)
    wire.run(1.0)
    assert wire.receiver.counts.requests == 0
    assert not wire.sender.take_request()
    wire.receiver.fare(0.0, (37, 38, 39))  # it has left the bank
    wire.sender.send(motion)
    wire.run(0.5)
    assert wire.receiver.counts.requests > 0
    assert wire.sender.take_request()


def test_a_flood_of_requests_gets_few_keys() -> None:
    wire = Wire(LinkConfig(rtt=0.05))
    granted = 0
    for turn in range(100):
        if turn % 2:
            wire.receiver.request_reference()
        else:
            wire.sender.receive(serialize_control(Nack(200, None)), wire.clock.now())
        wire.run(0.1)
        if wire.sender.take_request():
            wire.sender.send(big_reference(granted, 300))
            granted += 1
    # Ten seconds of asking ten times a second, and every key arrives within a fifth of one.
    assert 8 <= granted <= 10
    assert len(wire.times("reference")) == granted


def test_while_a_key_travels_requests_are_not_granted() -> None:
    wire = Wire(LinkConfig(rtt=0.05))
    wire.sender.send(big_reference(3, 20_000))  # takes about three seconds
    for _ in range(20):
        wire.receiver.request_reference()
        wire.run(0.1)
        assert not wire.sender.take_request()
    wire.run(2.0)
    assert len(wire.times("reference")) == 1
    wire.receiver.request_reference()
    wire.run(0.1)
    assert wire.sender.take_request()


def test_requests_wait_while_the_transport_is_full() -> None:
    receiver = ReceiverSession()
    packets, _ = sample_stream(random.Random(1), TABLES, 1)
    receiver.receive(packets[-1].data, 0.0)
    assert [classify(message.data) for message in receiver.outgoing(1.0, 500)] == ["report"]
    assert [classify(message.data) for message in receiver.outgoing(1.0, 0)] == ["control"]


def test_chunks_wait_while_the_transport_is_full_and_motion_does_not() -> None:
    sender = SenderSession(TABLES.hash)
    packets, _ = sample_stream(random.Random(1), TABLES, 1)
    sender.send(big_reference(0))
    sender.send(packets[-1])
    assert [message.channel for message in sender.outgoing(0.0, 500)] == [Channel.MOTION]
    assert sender.outgoing(0.0, 0) == []  # the path is busy with the motion for a moment
    deadline = sender.next_deadline()
    assert deadline is not None
    assert 0 < deadline < 0.03
    assert [message.channel for message in sender.outgoing(deadline, 0)] == [Channel.REFERENCE]


def test_reports_come_at_their_interval_and_name_what_is_held() -> None:
    wire = Wire(LinkConfig())
    wire.receiver.fare(0.123, (0, 3))
    wire.sender.send(Packet("header", b"\x01header", 0))
    wire.run(REPORT_INTERVAL + 0.1)
    assert wire.sender.report is not None
    report = wire.sender.report
    assert (report.delay_ms, report.held, report.received) == (123, (0, 3), 0)


def test_acknowledgements_are_told_once() -> None:
    sender = SenderSession(TABLES.hash)
    receiver = ReceiverSession()
    receiver.banked(5)
    for message in receiver.outgoing(0.0, 0):
        sender.receive(message.data, 0.0)
    assert sender.take_acknowledged() == [5]
    assert sender.take_acknowledged() == []


def test_the_pace_slows_on_a_path_that_queues_and_not_on_one_that_is_far() -> None:
    def pace(config: LinkConfig) -> float:
        wire = Wire(config)
        wire.sender = SenderSession(TABLES.hash)
        wire.sender.send(Packet("header", HEADER, 0))
        for number in range(100):
            if number % 30 == 0:
                wire.sender.send(big_reference(number // 30))
            motion = bytes((0xC0, number * 3 & 0xFF, number * 3 >> 8, 0)) + bytes(30)
            wire.sender.send(Packet("motion", motion, number * 3))
            wire.run(0.12)
        return wire.sender.pace

    assert pace(LinkConfig(rtt=0.6)) > 60_000
    assert pace(LinkConfig(rtt=0.05, rate=30_000, queue=2.0)) < 40_000


def test_farewells_end_the_other_side() -> None:
    wire = Wire(LinkConfig())
    wire.sender.end("lunch")
    wire.receiver.end()
    wire.run(0.1)
    assert wire.receiver.ended == "lunch"
    assert wire.sender.ended == "the other side left"


def test_a_receiver_with_other_tables_is_refused() -> None:
    sender = SenderSession(TABLES.hash)
    receiver = ReceiverSession(greeting(bytes(8), (1,)))
    receiver.receive(serialize_control(Stream(b"\x01")), 0.0)
    for message in receiver.outgoing(0.0, 0):
        sender.receive(message.data, 0.0)
    assert sender.ended is not None
    assert f"tables {TABLES.hash.hex()}, found 1 with {bytes(8).hex()}" in sender.ended


def test_what_the_receiver_must_not_get_is_counted() -> None:
    receiver = ReceiverSession()
    packets, _ = sample_stream(random.Random(1), TABLES, 1)
    wrong = [b"", b"\x00", b"\x03", b"\x04\xc1", packets[0].data, packets[1].data]
    wrong += [serialize_control(Nack(0, None)), serialize_control(RequestReference())]
    for data in wrong:
        receiver.receive(data, 0.0)
    assert receiver.counts.invalid == len(wrong)
    assert receiver.packets() == []


def test_what_the_sender_must_not_get_is_counted() -> None:
    sender = SenderSession(TABLES.hash)
    for data in (b"", b"\x80\x00\x00\x00", serialize_control(Stream(b"x"))):
        sender.receive(data, 0.0)
    assert sender.counts.invalid == 3
    assert sender.outgoing(0.0, 0) == []


def test_waiting_messages_are_bounded() -> None:
    sender = SenderSession(TABLES.hash)
    for _ in range(MAX_WAITING + 6):
        sender.send(Packet("motion", b"\x80\x00\x00\x00", 0))
    assert len(sender.outgoing(0.0, 0)) == MAX_WAITING
    assert sender.counts.overflowed == 6
    receiver = ReceiverSession()
    for _ in range(MAX_WAITING + 6):
        receiver.receive(b"\x80\x00\x00\x00", 0.0)
    assert len(receiver.packets()) == MAX_WAITING
    assert receiver.counts.overflowed == 6


def test_a_flood_of_reports_leaves_the_sender_as_it_is() -> None:
    sender = SenderSession(TABLES.hash, best=StreamSettings(3))
    for tick in range(100):  # what the reports may be about
        sender.send(Packet("motion", bytes((0x80, tick, 0, 0)) + bytes(30), tick))
        sender.outgoing(0.0, 0)
    rng = random.Random(0)
    tracemalloc.start()
    for number in range(600):
        arrivals = tuple(
            Arrival(rng.randrange(200), rng.randrange(2**15), chunk=rng.random() < 0.5)
            for _ in range(32)
        )
        held = tuple(rng.randrange(256) for _ in range(8))
        report = PathReport(rng.randrange(2**32), rng.randrange(2**16), 0, arrivals, held)
        sender.receive(report.serialize(), number * 1e-3)
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held_bytes < 400_000
    assert len(sender.take_acknowledged()) <= 256
    assert sender.outgoing(5.0, 0) == []
    assert sender.rate.estimate >= sender.rate.config.least


@given(st.lists(st.binary(max_size=60), max_size=30), st.randoms())
def test_any_bytes_leave_both_sessions_working(junk: list[bytes], rng: random.Random) -> None:
    receiver, sender = ReceiverSession(), SenderSession(TABLES.hash)
    for number, data in enumerate(junk):
        first = bytes([rng.choice((0x01, 0x02, 0x03, 0x04, 0x80))])
        for session in (receiver, sender):
            session.receive(first + data, number * 0.1)
            session.outgoing(number * 0.1, 0)
    receiver.packets()
    receiver.receive(serialize_control(Bye("x")), 100.0)
    sender.receive(serialize_control(Bye("y")), 100.0)
    assert receiver.ended == "x"
    assert sender.ended is not None
