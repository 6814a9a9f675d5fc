# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tracemalloc
from dataclasses import replace

import hypothesis.strategies as st
import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings

from talkcodec.bitstream import (
    Acknowledge,
    Bye,
    Chunk,
    ControlMessage,
    Hello,
    Limits,
    Nack,
    Reassembler,
    ReceiverReport,
    RequestReference,
    Stream,
    fragment,
    parse_control,
    serialize_control,
)
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
    st.builds(ReceiverReport, st.integers(0, 2**48 - 1), u32, u32, st.integers(0, 65535), tuples),
    st.builds(Bye, st.text(st.characters(exclude_categories=["Cs"]), max_size=120)),
)


@given(st.binary(min_size=1, max_size=5000), st.integers(40, 1000), st.randoms())
@settings(max_examples=60, deadline=None)
def test_chunks_come_together_in_any_order(message: bytes, mtu: int, random: object) -> None:
    chunks = fragment(message, 9, mtu)
    assert max(map(len, chunks)) <= mtu
    # Evenly sized: the last chunk is never a crumb that costs a whole datagram.
    assert max(map(len, chunks)) - min(map(len, chunks)) < len(chunks)
    random.shuffle(chunks)  # type: ignore[attr-defined]
    reassembler = Reassembler()
    found = [reassembler.accept(chunk) for chunk in chunks]
    assert found[:-1] == [None] * (len(chunks) - 1)
    assert found[-1] == message


def test_missing_chunks_are_named() -> None:
    chunks = fragment(MESSAGE, 9, 500)
    reassembler = Reassembler()
    assert reassembler.missing(9) == ()
    for index in (0, 3, 3):
        assert reassembler.accept(chunks[index]) is None
    assert reassembler.missing(9) == (1, 2, 4)
    assert reassembler.missing(8) == ()


def test_duplicates_after_the_end_open_nothing() -> None:
    chunks = fragment(MESSAGE, 9, 500)
    reassembler = Reassembler(pending=1)
    assert [reassembler.accept(chunk) for chunk in chunks][-1] == MESSAGE
    assert [reassembler.accept(chunk) for chunk in chunks] == [None] * len(chunks)
    assert reassembler.missing(9) == ()
    assert reassembler.dropped == 0


def test_a_number_used_again_does_not_mix_two_messages() -> None:
    old, new = fragment(MESSAGE, 9, 500), fragment(MESSAGE[::-1], 9, 500)
    reassembler = Reassembler()
    reassembler.accept(old[0])
    assert [reassembler.accept(chunk) for chunk in new][-1] == MESSAGE[::-1]
    assert [reassembler.accept(chunk) for chunk in old[1:]][-1] == MESSAGE


def test_the_message_begun_first_is_dropped() -> None:
    reassembler = Reassembler(pending=2)
    for sequence in (1, 2, 3):
        reassembler.accept(fragment(MESSAGE, sequence, 500)[0])
    assert reassembler.dropped == 1
    assert reassembler.missing(1) == ()
    assert reassembler.missing(2) == reassembler.missing(3) == (1, 2, 3, 4)


def test_a_corrupt_message_is_an_error_and_forgotten() -> None:
    chunks = fragment(MESSAGE, 9, 1500)
    broken = chunks[1][:-1] + b"?"
    reassembler = Reassembler()
    reassembler.accept(chunks[0])
    with pytest.raises(BitstreamError, match="expected CRC"):
        reassembler.accept(broken)
    assert reassembler.dropped == 1
    assert [reassembler.accept(chunk) for chunk in chunks][-1] == MESSAGE


def test_a_message_too_large_is_dropped_and_memory_stays_bounded() -> None:
    reassembler = Reassembler(Limits(reference=10_000), pending=3)
    tracemalloc.start()
    for number in range(3000):
        piece = Chunk(number // 4 % 256, number // 200, number % 4, 255, bytes(4000))
        if number % 4 < 2:
            assert reassembler.accept(piece.serialize()) is None
        elif number % 4 == 2:
            with pytest.raises(BitstreamError, match="expected a reference of 10000 bytes"):
                reassembler.accept(piece.serialize())
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 60_000
    assert reassembler.dropped >= 750


@pytest.mark.parametrize("data", [b"", b"\3", b"\3\0\0\0\0"])
def test_short_chunks_are_truncated(data: bytes) -> None:
    with pytest.raises(TruncatedError):
        Chunk.parse(data)


@pytest.mark.parametrize(
    "data", [b"\3\0\0\0\0\1", b"\3\0\0\0\1\1x", b"\3\0\0\0\0\0x", b"\2\0\0\0\0\1x"]
)
def test_other_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="expected"):
        Chunk.parse(data)


@pytest.mark.parametrize(("size", "mtu"), [(0, 100), (100, 6), (100, 0), (25_600, 106)])
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
        (ReceiverReport(0, 0, 0, 0, ()), {"held": tuple(range(9))}),
        (ReceiverReport(0, 0, 0, 0, ()), {"tick": 2**48}),
    ],
)
def test_control_bounds(message: ControlMessage, bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(message, **bad)  # type: ignore[arg-type]
