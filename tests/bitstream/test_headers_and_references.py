# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from talkcodec.bitstream import Limits, Reference, StreamHeader, classify
from talkcodec.errors import BitstreamError, TruncatedError, VersionError

HEADER = StreamHeader(256, Fraction(25), bytes(range(8)))
REFERENCE = Reference(
    sequence=5,
    slot=7,
    key=True,
    tick=1000,
    state=(0, -1, 63, -64, 64, 2**20, -(2**20)),
    identity=(1, 2),
    window=(0, 1, 65535, 400),
    codec=3,
    picture=b"picture",
)

integers = st.integers(-(2**20), 2**20)
rates = st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=10_000)
u8 = st.integers(0, 255)


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, int, int]:
    left, top = draw(st.integers(0, 65534)), draw(st.integers(0, 65534))
    return left, top, draw(st.integers(left + 1, 65535)), draw(st.integers(top + 1, 65535))


references = st.builds(
    Reference,
    sequence=u8,
    slot=st.integers(0, 7),
    key=st.booleans(),
    tick=st.integers(0, 2**48 - 1),
    state=st.lists(integers, min_size=1, max_size=64).map(tuple),
    identity=st.none() | st.lists(integers, max_size=256).map(tuple),
    window=st.none() | windows(),
    codec=u8,
    picture=st.binary(max_size=50),
)
headers = st.builds(
    StreamHeader,
    size=st.sampled_from((256, 512)),
    tick_rate=rates,
    table_hash=st.binary(min_size=8, max_size=8),
    max_bank=st.integers(1, 8),
    tick=st.integers(0, 2**48 - 1),
)


@given(references)
@settings(max_examples=60, deadline=None)
def test_reference_round_trip(reference: Reference) -> None:
    assert Reference.parse(reference.serialize()) == reference


@given(headers)
@settings(max_examples=60, deadline=None)
def test_header_round_trip(header: StreamHeader) -> None:
    assert StreamHeader.parse(header.serialize()) == header


@given(st.sampled_from((b"\x01\x01", b"\x02", b"")), st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_an_object_that_serializes_to_them(start: bytes, rest: bytes) -> None:
    """The syntax has one form for each value: what parses is what would have been written."""
    data = start + rest
    for parse in (Reference.parse, StreamHeader.parse):
        found = None
        with contextlib.suppress(BitstreamError):
            found = parse(data)
        assert found is None or found.serialize() == data


@pytest.mark.parametrize(
    "message", [HEADER.serialize(), replace(REFERENCE, picture=b"").serialize()]
)
def test_every_cut_is_noticed(message: bytes) -> None:
    parse = StreamHeader.parse if message[0] == 1 else Reference.parse
    for length in range(len(message)):
        with pytest.raises(TruncatedError):
            parse(message[:length])


def test_another_version_is_refused() -> None:
    data = bytearray(HEADER.serialize())
    data[1] = 2
    with pytest.raises(VersionError, match="expected format version 1, found 2"):
        StreamHeader.parse(bytes(data))


def test_other_tables_are_refused() -> None:
    HEADER.require_tables(bytes(range(8)))
    with pytest.raises(VersionError, match="expected a stream for tables 00000000"):
        HEADER.require_tables(bytes(8))


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 300},
        {"tick_rate": Fraction(0)},
        {"tick_rate": Fraction(1001)},
        {"tick_rate": Fraction(1, 2**24)},
        {"table_hash": b"short"},
        {"max_bank": 0},
        {"max_bank": 9},
        {"tick": 2**48},
        {"version": 2},
    ],
)
def test_header_bounds(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(HEADER, **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "value"), [(0, 2), (2, 2), (3, 0), (3, 9), (4, 0), (5, 0), (5, 0x80), (4, 50)]
)
def test_header_damage(at: int, value: int) -> None:
    data = bytearray(replace(HEADER, tick_rate=Fraction(25, 2)).serialize())
    data[at] = value
    with pytest.raises(BitstreamError, match="expected"):
        StreamHeader.parse(bytes(data))


def test_nothing_may_follow_a_header() -> None:
    with pytest.raises(BitstreamError, match="expected 15 bytes of a stream header, found 16"):
        StreamHeader.parse(HEADER.serialize() + b"\0")


@pytest.mark.parametrize(
    "bad",
    [
        {"sequence": 256},
        {"slot": 8},
        {"codec": -1},
        {"tick": -1},
        {"state": ()},
        {"state": (0,) * 65},
        {"state": (2**20 + 1,)},
        {"identity": (0,) * 257},
        {"identity": (-(2**20) - 1,)},
        {"window": (0, 0, 65536, 1)},
        {"window": (5, 0, 5, 10)},
    ],
)
def test_reference_bounds(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(REFERENCE, **bad).serialize()  # type: ignore[arg-type]


def test_reference_damage() -> None:
    plain = replace(REFERENCE, identity=None, window=None, state=(1,), tick=0).serialize()
    assert plain[4:7] == b"\0\1\x60"
    for at, value in ((0, 1), (1, 0x40), (1, 0x80), (5, 0), (5, 65)):
        data = bytearray(plain)
        data[at] = value
        with pytest.raises(BitstreamError, match="expected"):
            Reference.parse(bytes(data))


def test_longer_forms_of_an_integer_are_refused() -> None:
    plain = replace(REFERENCE, identity=None, window=None, state=(1,), tick=0).serialize()
    with pytest.raises(BitstreamError, match="shortest"):
        Reference.parse(plain[:4] + b"\x80\x00" + plain[5:])
    with pytest.raises(BitstreamError, match="expected"):
        Reference.parse(plain[:4] + b"\xff" * 7 + plain[5:])


def test_integers_near_zero_are_short() -> None:
    small = replace(REFERENCE, state=(0, 1, -1, 0, 0, 2), identity=None, window=None, picture=b"")
    # Count, then 1 + 3 + 3 + 1 + 1 + 5 bits.
    assert len(small.serialize()) == 4 + 2 + 1 + 2


def test_fill_bits_and_far_integers_are_refused() -> None:
    plain = replace(REFERENCE, identity=None, window=None, state=(1,), tick=0).serialize()
    with pytest.raises(BitstreamError, match="zero bits to fill a byte"):
        Reference.parse(plain[:6] + b"\x61" + plain[7:])
    for code in (2**21 + 2, 2**22 - 1, 2**22):
        bits = f"{'0' * (code.bit_length() - 1)}{code:b}".ljust(48, "0")
        with pytest.raises(BitstreamError, match="expected integers within"):
            Reference.parse(plain[:6] + int(bits, 2).to_bytes(6, "big") + plain[7:])


def test_large_references_are_refused_before_anything_is_allocated() -> None:
    data = REFERENCE.serialize() + bytes(300_000)
    tracemalloc.start()
    with pytest.raises(BitstreamError, match="expected a reference of 1000 bytes at most"):
        Reference.parse(data, Limits(reference=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


def test_counts_that_lie_allocate_nothing() -> None:
    tracemalloc.start()
    with pytest.raises(TruncatedError):
        Reference.parse(bytes((2, 3, 0, 0, 0, 1, 0x80, 0x80, 2)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


def test_str_is_for_logs() -> None:
    assert str(REFERENCE) == "Reference 5 (key, slot 7, tick 1000, codec 3, 7 B)"


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (1, "header"),
        (2, "reference"),
        (3, "chunk"),
        (4, "control"),
        (6, "report"),
        (0x80, "motion"),
        (255, "motion"),
    ],
)
def test_classify(first: int, kind: str) -> None:
    assert classify(bytes((first, 9, 9))) == kind


def test_classify_refuses_the_rest() -> None:
    for first in (0, 5, *range(7, 0x80)):
        with pytest.raises(BitstreamError, match=f"found 0x{first:02x}"):
            classify(bytes((first,)))
    with pytest.raises(TruncatedError):
        classify(b"")
