# SPDX-License-Identifier: Apache-2.0
"""A peer that wants our memory, our processor or our patience. It gets a bounded part of each."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from aiortc.rtcsctptransport import SCTP_DATA_FIRST_FRAG, SCTP_DATA_UNORDERED, DataChunk

from receiver import Receiver
from receiver.screen import Screen
from talkcodec import scene, weights
from talkcodec.bitstream import Reference, StreamHeader
from talkcodec.bitstream.chunks import Chunk, Reassembler, fragment
from talkcodec.bitstream.control import (
    Acknowledge,
    Mute,
    Nack,
    RequestReference,
    Stream,
    serialize_control,
)
from talkcodec.bitstream.wire import LIMITS
from talkcodec.clock import ManualClock, Stopwatch
from talkcodec.decoder import Decoder
from talkcodec.names import RendererName
from talkcodec.reference.codec import CodecId
from talkcodec.render import renderer
from talkcodec.rtc.call import Call
from talkcodec.rtc.duplex import DuplexSession
from talkcodec.rtc.hoard import MAX_HELD, held
from talkcodec.rtc.limits import CONTROL_RATE, HEADER_RATE
from talkcodec.rtc.messages import MAX_WAITING, greeting
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession
from tests.rtc.attacker import Attacker

MIB = 1 << 20


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Fail if Python holds more than ``most`` bytes more at any moment inside."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MIB:.1f} MiB"


def giant(codec: CodecId) -> bytes:
    """Return a picture's bytes that claim the largest size their syntax can say."""
    if codec is CodecId.WEBP:
        return b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 0x3FFF, 0x3FFF) + bytes(200)
    # Reduced still picture header: profile 0, 1, 1, level, then 16 + 16 bits of size.
    bits = "000" + "1" + "1" + "00000" + "1111" + "1111" + "1" * 16 + "1" * 16
    header = int(bits.ljust(64, "0"), 2).to_bytes(8, "big")
    return bytes((len(header),)) + header + bytes(200)


@pytest.mark.parametrize("codec", list(CodecId))
def test_giant_dimensions_of_a_reference_allocate_nothing(codec: CodecId) -> None:
    tables, refused = weights.tables(), list[bool]()
    screen = Screen(
        lambda _frame: None,
        banked=lambda _sequence: None,
        stuck=lambda: refused.append(True),
        clock=ManualClock(),
    )
    screen.take(StreamHeader(256, Fraction(25), tables.hash).serialize(), 0.0)
    state = (0,) * tables.dimension
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        made = Reference(0, 0, True, 0, state, None, None, int(codec), giant(codec))
        screen.take(made.serialize(), 0.0)
    assert screen.counts.invalid == len(refused) == 50
    # 65536² pixels would be 6 GB; what Linux reports is KiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_flood_of_references_is_held_to_what_waits_for_the_decoder() -> None:
    """Whole references, faster than anybody could decode them, and nobody takes them."""
    receiver = ReceiverSession(greeting(bytes(8), (1,)))
    rng = random.Random(0)
    size = 20_000
    with memory(most=2 * MAX_WAITING * size):
        for number in range(1000):
            message = rng.randbytes(size)
            for chunk in fragment(message, number % 256):
                receiver.receive(chunk.serialize(), number * 1e-3)
    assert receiver.counts.references > 900
    assert receiver.counts.overflowed >= receiver.counts.references - MAX_WAITING
    assert len(receiver.packets()) == MAX_WAITING
    # And what it makes us say is bounded as well.
    assert len(receiver.outgoing(10.0, 0)) <= MAX_WAITING + 1


def test_references_that_never_end_are_forgotten() -> None:
    """First chunks only, each of another message of the largest size there is."""
    reassembler = Reassembler()
    count = 255
    size = -(-LIMITS.reference // count)
    with memory(most=6 * LIMITS.reference):
        for tag in range(20_000):
            for index in range(3):
                reassembler.accept(
                    Chunk(tag % 256, tag, LIMITS.reference, index, count, 0, False, bytes(size))
                )
    assert len(reassembler._partial) == 4
    assert reassembler.dropped == 20_000 - 4


def test_references_that_lack_one_chunk_each_are_not_asked_for_without_end() -> None:
    receiver = ReceiverSession(greeting(bytes(8), (1,)))
    now, said = 0.0, 0
    for number in range(3000):
        chunks = fragment(bytes((number % 251,)) * 2500, number % 256)
        for chunk in chunks[:-1]:
            receiver.receive(chunk.serialize(), now)
        now += 0.01
        said += len(receiver.outgoing(now, 0))
    assert len(receiver._schedule._pending) <= 4
    # A key reference asked for three times a second, and reports.
    assert said < 7 * now


def test_a_flood_of_control_messages_is_not_even_read() -> None:
    tables = weights.tables()
    session = DuplexSession(SenderSession(tables.hash), ReceiverSession(greeting(bytes(8), (1,))))
    messages = [
        serialize_control(message)
        for message in (
            Mute(), RequestReference(), Acknowledge(3), Nack(7, None), Nack(7, tuple(range(255))),
            Stream(bytes(64)),
        )
    ]  # fmt: skip
    messages += [b"\x04junk", b"\x06" + bytes(40)]
    count, seconds = 100_000, 2.0
    answers = 0
    with memory(most=MIB):
        for number in range(count):
            now = number * seconds / count
            session.receive(messages[number % len(messages)], now)
            if number % 100 == 0:
                answers += len(session.outgoing(now, 0))
    allowed = CONTROL_RATE.burst + CONTROL_RATE.per_second * seconds
    assert session.refused >= count - allowed - 1
    assert len(session.notices()) <= MAX_WAITING
    assert answers < allowed
    # What is no control message is heard meanwhile.
    motion = b"\x80\x00\x00\x00" + bytes(30)
    session.receive(motion, 3.0)
    assert session.receiving is not None
    assert session.receiving.counts.groups == 1


def test_headers_of_ever_new_streams_reach_the_decoder_once_a_second() -> None:
    tables = weights.tables()
    receiver = ReceiverSession(greeting(bytes(8), (1,)))
    taken: list[bytes] = []
    count, seconds = 1000, 10.0
    for number in range(count):
        header = StreamHeader(256, Fraction(25), tables.hash, 1 + number % 8, number)
        now = number * seconds / count
        receiver.receive(serialize_control(Stream(header.serialize())), now)
        taken += receiver.packets()
    banks = [StreamHeader.parse(data).max_bank for data in taken]
    changes = sum(one != other for one, other in pairwise(banks))
    assert 5 < changes <= 1 + seconds * HEADER_RATE.per_second
    assert receiver.counts.invalid == count - len(taken)
    # The one in force may be repeated as often as control messages may come.
    again = replace(StreamHeader.parse(taken[-1]), tick=count).serialize()
    for number in range(20):
        receiver.receive(serialize_control(Stream(again)), seconds + number * 1e-3)
    assert receiver.packets() == [again] * 20


def test_headers_of_ever_new_streams_load_no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def open_renderer(name: RendererName, stopwatch: Stopwatch | None = None) -> renderer.Renderer:
        opened.append(name)
        return renderer.open_renderer(name, stopwatch)

    monkeypatch.setattr(scene, "open_renderer", open_renderer)
    decoder, tables = Decoder(), weights.tables()
    for number in range(20):
        size = 256 << number % 2
        header = StreamHeader(size, Fraction(25), tables.hash, 1 + number % 8)
        decoder.receive(header.serialize())
    assert len(opened) == 1


async def test_fragments_without_end_below_the_data_channel_end_the_connection() -> None:
    attacker = Attacker()
    await attacker.connect()
    sctp = attacker.connection.sctp
    assert sctp is not None
    tsn, sent = sctp._local_tsn, 0
    for number in range(20_000):  # 24 MB, for as long as we are listened to
        if attacker.victim.closed.is_set():
            break
        chunk = DataChunk()
        chunk.flags = SCTP_DATA_UNORDERED | (SCTP_DATA_FIRST_FRAG if number == 0 else 0)
        chunk.tsn = (tsn + number) % 2**32
        chunk.stream_id, chunk.stream_seq, chunk.protocol = 1, 0, 53
        chunk.user_data = bytes(1200)
        try:
            await sctp._send_chunk(chunk)
        except ConnectionError:
            break
        sent += 1200
        await asyncio.sleep(0)
    async with asyncio.timeout(60.0):
        await attacker.victim.closed.wait()
    assert attacker.victim.refused == (
        f"expected whole messages, found more than {MAX_HELD} bytes unfinished"
    )
    assert held(attacker.victim._connection) < 20 * MAX_HELD
    await attacker.close()


async def test_a_call_does_not_wait_for_a_peer_that_it_has_cut_off() -> None:
    attacker = Attacker()
    call = Call(receiving=Receiver(lambda _frame: None), patience=60.0)
    await attacker.connect(call)
    attacker.connection.createDataChannel("another")
    async with asyncio.timeout(30.0):  # half of the patience that another loss would get
        await call.ended()
    assert call.is_over
    assert not call.is_connected
    await call.close()
    await attacker.close()


async def test_another_channel_ends_the_connection() -> None:
    attacker = Attacker()
    await attacker.connect()
    for number in range(50):
        attacker.connection.createDataChannel(f"another {number}")
    async with asyncio.timeout(60.0):
        await attacker.victim.closed.wait()
    assert attacker.victim.refused == ("expected the channels of a call, found another one opened")
    await attacker.close()
