# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tracemalloc
from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings

from talkcodec.bitstream import (
    LIMITS,
    Acknowledge,
    Bye,
    Chunk,
    ControlMessage,
    Hello,
    Limits,
    Missing,
    Nack,
    Reassembler,
    RequestReference,
    Stream,
    fragment,
    parse_control,
    serialize_control,
)
from talkcodec.bitstream.control import Alive, ModeChange, Mute, SoundTime
from talkcodec.errors import BitstreamError, TruncatedError

MESSAGE = bytes(range(256)) * 9

u8 = st.integers(0, 255)
u32 = st.integers(0, 2**32 - 1)
tuples = st.lists(u8, max_size=8).map(tuple)
controls = st.one_of(
    st.builds(Hello, u8, st.binary(min_size=8, max_size=8), st.just((256, 512)), tuples),
    st.builds(Stream, st.binary(min_size=1, max_size=64)),
    st.builds(Nack, u8, st.none() | st.lists(u8, max_size=255).map(tuple)),
    st.builds(Acknowledge, u8),
    st.just(RequestReference()),
    st.builds(Bye, st.text(st.characters(exclude_categories=["Cs"]), max_size=120)),
    st.builds(ModeChange, st.sampled_from(["motion", "video"]), st.integers(0, 2**48 - 1)),
    st.builds(SoundTime, u32, st.integers(0, 2**52 - 1)),
    st.just(Mute()),
    st.just(Alive()),
)


def take(reassembler: Reassembler, chunks: list[Chunk]) -> bytes | None:
    """Give ``chunks`` as they cross the wire; return what the last one completed."""
    whole = None
    for chunk in chunks:
        whole = reassembler.accept(Chunk.parse(chunk.serialize()))
    return whole


@given(st.binary(min_size=1, max_size=5000), st.integers(40, 1000), st.randoms())
@settings(max_examples=60, deadline=None)
def test_chunks_come_together_in_any_order(message: bytes, mtu: int, random: Random) -> None:
    chunks = fragment(message, 9, mtu)
    sizes = [len(chunk.serialize()) for chunk in chunks]
    assert max(sizes) <= mtu
    # Evenly sized: the last chunk is never a crumb that costs a whole datagram.
    assert max(sizes) - min(sizes) < len(chunks)
    random.shuffle(chunks)
    reassembler = Reassembler()
    assert take(reassembler, chunks[:-1]) is None
    assert take(reassembler, chunks[-1:]) == message
    assert reassembler.recovered == 0


@given(st.binary(min_size=1, max_size=3000), st.integers(60, 500), st.integers(1, 16), st.randoms())
@settings(max_examples=60, deadline=None)
def test_any_so_many_chunks_are_enough(
    message: bytes, mtu: int, parity: int, random: Random
) -> None:
    chunks = fragment(message, 9, mtu, parity)
    count = chunks[0].count
    assert len(chunks) == count + (parity if count <= 64 else 0)
    assert max(len(chunk.serialize()) for chunk in chunks) <= mtu
    came = random.sample(chunks, count)
    reassembler = Reassembler()
    assert take(reassembler, came[:-1]) is None
    assert take(reassembler, came[-1:]) == message
    assert reassembler.recovered == any(chunk.index >= count for chunk in came)


def test_missing_chunks_are_named() -> None:
    chunks = fragment(MESSAGE, 9, 500, 2)
    reassembler = Reassembler()
    assert reassembler.missing(9) is None
    take(reassembler, [chunks[0], chunks[3], chunks[3]])
    assert reassembler.missing(9) == Missing(3, (1, 2, 4, 5, 6), 3)
    assert reassembler.missing(8) is None


def test_duplicates_after_the_end_open_nothing() -> None:
    chunks = fragment(MESSAGE, 9, 500, 1)
    reassembler = Reassembler(pending=1)
    assert take(reassembler, chunks[:-1]) == MESSAGE
    for chunk in chunks:
        assert reassembler.accept(chunk) is None
    assert reassembler.missing(9) is None
    assert reassembler.dropped == 0


def test_a_number_used_again_does_not_mix_two_messages() -> None:
    old, new = fragment(MESSAGE, 9, 500), fragment(MESSAGE[::-1], 9, 500)
    reassembler = Reassembler()
    take(reassembler, old[:1])
    assert take(reassembler, new) == MESSAGE[::-1]
    assert take(reassembler, old[1:]) == MESSAGE


def test_the_message_begun_first_is_dropped() -> None:
    reassembler = Reassembler(pending=2)
    for sequence in (1, 2, 3):
        take(reassembler, fragment(MESSAGE, sequence, 500)[:1])
    assert reassembler.dropped == 1
    assert reassembler.missing(1) is None
    assert reassembler.missing(2) == reassembler.missing(3) == Missing(4, (1, 2, 3, 4), 4)


def test_a_corrupt_message_is_an_error_and_forgotten() -> None:
    chunks = fragment(MESSAGE, 9, 1500, 1)
    broken = replace(chunks[1], payload=chunks[1].payload[:-1] + b"?")
    reassembler = Reassembler()
    for other in (chunks[0], chunks[2]):  # beside data, and beside parity
        reassembler.accept(other)
        with pytest.raises(BitstreamError, match="expected CRC"):
            reassembler.accept(broken)
    assert reassembler.dropped == 2
    assert take(reassembler, chunks[:2]) == MESSAGE


def test_a_flood_of_messages_that_never_end_keeps_memory_bounded() -> None:
    reassembler = Reassembler(pending=3)
    tracemalloc.start()
    for number in range(3000):
        # Each claims a quarter of a megabyte; each brings a kilobyte of it.
        chunk = Chunk(number % 256, number // 256, 255_000, number % 4, 255, 0, False, bytes(1000))
        assert reassembler.accept(Chunk.parse(chunk.serialize())) is None
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 60_000
    assert reassembler.dropped == 2997


@pytest.mark.parametrize("data", [b"", b"\3", b"\3\0\0\0\0", b"\3\0\0\0\1\0\0\0\1"])
def test_short_chunks_are_truncated(data: bytes) -> None:
    with pytest.raises(TruncatedError):
        Chunk.parse(data)


GOOD = Chunk(7, 1, 100, 1, 3, 2, False, bytes(34))


@pytest.mark.parametrize(
    "change",
    [
        {"index": 5},
        {"index": 2},  # the last piece of data is shorter
        {"count": 0},
        {"count": 65},
        {"parity": 17},
        {"length": 0},
        {"length": 2},  # of 3 pieces one would be empty
        {"length": LIMITS.reference + 1},
        {"length": 103},
        {"payload": b""},
        {"payload": bytes(33)},
        {"payload": bytes(35)},
    ],
)
def test_other_chunks_are_refused(change: dict[str, object]) -> None:
    assert Chunk.parse(GOOD.serialize()) == GOOD
    bad = replace(GOOD, **change)  # type: ignore[arg-type]
    with pytest.raises(BitstreamError, match="expected") as caught:
        Chunk.parse(bad.serialize())
    assert "\n" not in str(caught.value)


def test_another_type_is_no_chunk() -> None:
    with pytest.raises(BitstreamError, match="expected a chunk, found type 2"):
        Chunk.parse(b"\2" + GOOD.serialize()[1:])


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_chunk_or_an_error(data: bytes) -> None:
    reassembler = Reassembler()
    try:
        reassembler.accept(Chunk.parse(b"\3" + data))
    except BitstreamError as error:
        assert "\n" not in str(error)  # noqa: PT017  most bytes are none


@pytest.mark.parametrize(("size", "mtu"), [(0, 100), (100, 10), (100, 0), (25_600, 110)])
def test_fragment_refuses_what_cannot_be_cut(size: int, mtu: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 255 chunks"):
        fragment(bytes(size), 0, mtu)


@given(controls)
@settings(max_examples=80, deadline=None)
def test_control_round_trip(message: ControlMessage) -> None:
    assert parse_control(serialize_control(message)) == message


@given(st.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_bytes_after_the_type_are_a_message_or_an_error(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="expected"):
        # No random string spells a type and all of its fields.
        parse_control(b"\4" + data)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        7,
        {"type": "bye"},
        {"type": "bye", "reason": "x", "more": 1},
        {"type": "bye", "reason": 5},
        {"type": "bye", "reason": "x" * 121},
        {"type": "bye", "reason": "x" * 500},
        {"type": "goodbye", "reason": ""},
        {"type": 3},
        {"type": ["bye"], "reason": ""},
        {"type": "acknowledge", "sequence": True},
        {"type": "acknowledge", "sequence": 3.0},
        {"type": "acknowledge", "sequence": 256},
        {"type": "acknowledge", "sequence": -1},
        {"type": "nack", "sequence": 1, "missing": [256]},
        {"type": "nack", "sequence": 1, "missing": [[1]]},
        {"type": "nack", "sequence": 1, "missing": {"a": 1}},
        {"type": "nack", "sequence": 1, "missing": list(range(256))},
        {"type": "mode", "mode": "text", "tick": 1},
        {"type": "mode", "mode": ["video"], "tick": 1},
        {"type": "mode", "mode": "video", "tick": 2**48},
        {"type": "mode", "mode": "video", "tick": -1},
        {"type": "sound", "packet": 2**32, "time_us": 0},
        {"type": "sound", "packet": 0, "time_us": 2**52},
        {"type": "sound", "packet": 0, "time_us": 0.5},
        {"type": "mute", "on": 1},
        {"type": "stream", "header": b""},
        {"type": "stream", "header": "text"},
        {1: 2, "type": "request_reference"},
        {"type": "request_reference", "x": msgpack.ExtType(1, b"")},
    ],
)
def test_control_messages_are_strict(content: object) -> None:
    with pytest.raises(BitstreamError, match="expected") as caught:
        parse_control(b"\4" + msgpack.packb(content))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_control_messages_are_bounded() -> None:
    data = serialize_control(Bye("x" * 100))
    with pytest.raises(BitstreamError, match="1 to 50 bytes"):
        parse_control(data, Limits(control=50))
    with pytest.raises(BitstreamError, match="expected a control packet"):
        parse_control(b"")
    # Nested as deep as a packet can hold: refused, not a stack overflow.
    with pytest.raises(BitstreamError, match="expected"):
        parse_control(b"\4" + b"\x91" * 4000)


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        (Acknowledge(1), {"sequence": 256}),
        (Bye(), {"reason": "x" * 121}),
        (Hello(1, bytes(8), (256,), (1,)), {"table_hash": bytes(7)}),
    ],
)
def test_control_bounds(message: ControlMessage, bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(message, **bad)  # type: ignore[arg-type]
