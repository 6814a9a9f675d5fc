# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from talkcodec.entropy import PRECISION, FrequencyTable, RangeDecoder, RangeEncoder, laplace_table
from talkcodec.errors import BitstreamError

TABLES = (
    laplace_table(0.3, 5),
    laplace_table(4, 30),
    FrequencyTable(-3, ((1 << PRECISION) - 1, 1)),
    FrequencyTable(100, (1, 1, (1 << PRECISION) - 3, 1)),
    FrequencyTable(0, (1,) * 1023 + ((1 << PRECISION) - 1023,)),
)
values = st.one_of(st.integers(-40, 40), st.integers(-(2**24), 2**24))
symbols = st.lists(st.tuples(values, st.sampled_from(TABLES)), max_size=60)


def encode(pairs: list[tuple[int, FrequencyTable]]) -> bytes:
    coder = RangeEncoder()
    for value, table in pairs:
        coder.encode(value, table)
    return coder.finish()


def decode(data: bytes, tables: list[FrequencyTable]) -> list[int]:
    coder = RangeDecoder(data)
    return [coder.decode(table) for table in tables]


@given(symbols)
@settings(max_examples=150, deadline=None)
def test_round_trip(pairs: list[tuple[int, FrequencyTable]]) -> None:
    assert decode(encode(pairs), [table for _, table in pairs]) == [value for value, _ in pairs]


@given(symbols)
@settings(max_examples=80, deadline=None)
def test_nothing_shorter_decodes_alike(pairs: list[tuple[int, FrequencyTable]]) -> None:
    data = encode(pairs)
    wanted = [value for value, _ in pairs]
    tables = [table for _, table in pairs]
    assert not data.endswith(b"\0")
    if not data:
        return
    # The shorter strings nearest to the code value: if these two miss, all do.
    prefix = int.from_bytes(data[:-1], "big")
    for near in {prefix, min(prefix + 1, 256 ** (len(data) - 1) - 1)}:
        shorter = near.to_bytes(len(data) - 1, "big")
        with contextlib.suppress(BitstreamError):
            assert decode(shorter, tables) != wanted


@given(symbols, st.binary(max_size=12))
@settings(max_examples=60, deadline=None)
def test_bytes_after_the_end_of_a_long_tail_matter_not_once_padded(
    pairs: list[tuple[int, FrequencyTable]], junk: bytes
) -> None:
    """Zero bytes, which the encoder cut off, may come back; then anything may follow."""
    data = encode(pairs) + b"\0" * 16 + junk
    assert decode(data, [table for _, table in pairs]) == [value for value, _ in pairs]


def test_cost_is_the_ideal_one_plus_less_than_a_byte() -> None:
    table = laplace_table(2, 20)
    pairs = [(index % 7 - 3, table) for index in range(300)]
    ideal = sum(table.bits(value) for value, _ in pairs) / 8
    assert ideal - 0.01 < len(encode(pairs)) < ideal + 1.01


def test_no_symbols_are_no_bytes() -> None:
    assert encode([]) == b""


def test_carries_reach_words_already_written() -> None:
    """The last slot again and again keeps the interval at the top, where carries begin."""
    top = FrequencyTable(0, (1, 1, (1 << PRECISION) - 2))
    wide = FrequencyTable(0, (1, (1 << PRECISION) - 2, 1))
    pairs = [(1 + (index % 5 == 0), wide) for index in range(200)] + [(5, top)] * 20
    assert decode(encode(pairs), [table for _, table in pairs]) == [value for value, _ in pairs]


@pytest.mark.parametrize("value", [2**26, -(2**26), 10**30])
def test_refuses_integers_too_far_away(value: int) -> None:
    with pytest.raises(ValueError, match="expected an integer within"):
        RangeEncoder().encode(value, TABLES[0])


def test_refused_integers_leave_the_coder_as_it_was() -> None:
    coder = RangeEncoder()
    coder.encode(3, TABLES[1])
    with pytest.raises(ValueError, match="expected"):
        coder.encode(2**30, TABLES[1])
    coder.encode(-2, TABLES[1])
    assert decode(coder.finish(), [TABLES[1]] * 2) == [3, -2]


def test_code_value_outside_every_model_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="range-coded symbols"):
        decode(b"\xff" * 16, [TABLES[0]])


def test_endless_escape_is_an_error() -> None:
    half = FrequencyTable(0, (1 << PRECISION - 1, 1 << PRECISION - 1))
    # The lower edge of the escape slot (FORMAT.md 3); on an edge all further bits are zero.
    edge = (2**40 - 1) << 23
    with pytest.raises(BitstreamError, match="escape bits"):
        decode(edge.to_bytes(8, "big"), [half])
    assert decode((edge - 1).to_bytes(8, "big"), [half]) == [0]


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_integers_or_a_bitstream_error(data: bytes) -> None:
    try:
        found = decode(data, [TABLES[index % len(TABLES)] for index in range(40)])
    except BitstreamError:
        return
    assert all(abs(value) < 2**26 for value in found)
