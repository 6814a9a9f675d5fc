# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from talkcodec.bitstream import (
    MULTIPLIERS,
    FlowLayer,
    MotionGroup,
    Reference,
    coarse_copy,
    decode_group,
    encode_group,
    parse_group_header,
    rescale,
    to_quantiser,
    unwrap,
)
from talkcodec.bitstream.samples import sample_stream, sample_tables
from talkcodec.bitstream.wire import STATE_LIMIT
from talkcodec.errors import BitstreamError, MissingReference, TruncatedError
from talkcodec.types import I32

D = 5
TABLES = sample_tables(D)
STATE = (10, -200, 0, 33, 999)
HELD = {7: STATE, 8: (0,) * D}

components = st.one_of(st.integers(-50, 50), st.integers(-STATE_LIMIT, STATE_LIMIT))


@st.composite
def rows(draw: st.DrawFn) -> I32:
    row = st.lists(components, min_size=D, max_size=D)
    return np.array(draw(st.lists(row, min_size=1, max_size=4)), dtype=np.int32)


@st.composite
def flows(draw: st.DrawFn) -> FlowLayer | None:
    mode = draw(st.sampled_from((0, 1, 2)))
    if mode == 0:
        return None
    size = TABLES.flow[mode]
    values = draw(st.lists(components, min_size=size, max_size=size))
    return FlowLayer(mode, np.array(values, dtype=np.int32))


@st.composite
def groups(draw: st.DrawFn) -> MotionGroup:
    states = draw(rows())
    gaps = st.integers(1, 2**14)

    def some_gaps(count: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(gaps, min_size=count, max_size=count)))

    tick = draw(st.integers(2**17, 2**48 - 1))
    redundant = None
    if draw(st.booleans()):
        copies = draw(rows())
        between = some_gaps(len(copies) - 1)
        first = tick - draw(gaps) - sum(between)
        redundant = MotionGroup(first, between, 7, 3, copies)
    return MotionGroup(
        tick=tick,
        gaps=some_gaps(len(states) - 1),
        reference=7,
        quantiser=draw(st.integers(0, 3)),
        states=states,
        flow=draw(flows()),
        redundant=redundant,
    )


def plain(tick: int = 100, frames: int = 3, quantiser: int = 0) -> MotionGroup:
    row = to_quantiser(STATE, quantiser)
    states = np.array([[v + i for v in row] for i in range(frames)], dtype=np.int32)
    return MotionGroup(tick, (1,) * (frames - 1), 7, quantiser, states)


def attempt(data: bytes) -> MotionGroup | None:
    """Return the group, or None where a ``BitstreamError`` says there is none."""
    with contextlib.suppress(BitstreamError):
        return decode_group(data, HELD, TABLES)
    return None


@given(groups())
@settings(max_examples=100, deadline=None)
def test_round_trip(group: MotionGroup) -> None:
    data = encode_group(group, STATE, TABLES)
    assert decode_group(data, HELD, TABLES, last=group.tick) == group
    header = parse_group_header(data)
    assert header.tick16 == group.tick & 0xFFFF
    assert (header.count, header.reference) == (len(group.states), 7)
    assert (header.flow, header.redundant) == (bool(group.flow), bool(group.redundant))


@given(st.binary(max_size=120), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_group_or_a_bitstream_error(data: bytes, motion: bool) -> None:  # noqa: FBT001
    if motion:
        data = bytes((0x80 | data[0] & 0x7E if data else 0x80, 1, 0, 7)) + data
    group = attempt(data)
    if group is None:
        return
    assert group.states.shape == (len(group.gaps) + 1, D)
    assert np.abs(group.states).max() <= STATE_LIMIT
    again = encode_group(group, HELD[group.reference], TABLES)
    assert decode_group(again, HELD, TABLES) == group


@given(groups(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_gives_a_group_or_a_bitstream_error(
    group: MotionGroup, draw: st.DataObject
) -> None:
    data = bytearray(encode_group(group, STATE, TABLES))
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    data[bit // 8] ^= 1 << bit % 8
    damaged = attempt(bytes(data))
    assert damaged is None or damaged.states.shape[1] == D


def test_a_group_of_small_steps_costs_its_ideal_bits_and_four_bytes() -> None:
    group = plain()
    ideal = sum(table.bits(0) for table in TABLES.intra[0])
    ideal += 2 * sum(table.bits(1) for table in TABLES.inter[0])
    ideal += 2 * 0.0227  # two regular gaps
    assert ideal / 8 <= len(encode_group(group, STATE, TABLES)) - 4 < ideal / 8 + 1


def test_a_coarse_copy_costs_little() -> None:
    alone = plain(tick=103)
    carrying = replace(alone, redundant=coarse_copy([plain()], alone))
    extra = len(encode_group(carrying, STATE, TABLES)) - len(encode_group(alone, STATE, TABLES))
    assert 0 < extra <= 1 + 3 * D * 2 / 8


def test_a_copy_tells_the_frames_of_the_group_before() -> None:
    before = plain(tick=100, frames=4, quantiser=1)
    after = replace(plain(tick=106), reference=8)
    carrying = replace(after, redundant=coarse_copy([before], after))
    found = decode_group(encode_group(carrying, (0,) * D, TABLES), HELD, TABLES).redundant
    assert found is not None
    assert (found.ticks, found.reference, found.quantiser) == ((100, 101, 102, 103), 8, 3)
    error = np.abs(found.states * 3.0 - before.states * 1.5)
    assert error.max() <= 1.5


def test_no_packet_depends_on_another_motion_packet() -> None:
    packets, meaning = sample_stream(Random(4), TABLES, 12)
    states = {m.sequence: m.state for m in meaning if isinstance(m, Reference)}
    motion = [(p, m) for p, m in zip(packets, meaning, strict=True) if isinstance(m, MotionGroup)]
    for packet, group in reversed(motion):
        assert decode_group(packet.data, states, TABLES, last=packet.tick) == group


def test_a_missing_reference_is_told_apart() -> None:
    data = encode_group(plain(), STATE, TABLES)
    with pytest.raises(MissingReference, match="expected reference 7"):
        decode_group(data, {8: STATE}, TABLES)


def test_a_reference_of_another_dimension_is_an_error() -> None:
    data = encode_group(plain(), STATE, TABLES)
    with pytest.raises(BitstreamError, match="expected a state of 5, found 3"):
        decode_group(data, {7: (1, 2, 3)}, TABLES)


def test_states_out_of_bounds_are_an_error() -> None:
    top = np.full((1, D), STATE_LIMIT, dtype=np.int32)
    data = encode_group(MotionGroup(0, (), 7, 0, top), STATE, TABLES)
    above = tuple(value + 1 for value in STATE)
    with pytest.raises(BitstreamError, match="expected integers within"):
        decode_group(data, {7: above}, TABLES)


def test_a_mode_the_tables_lack_is_an_error() -> None:
    flow = FlowLayer(4, np.zeros(128, dtype=np.int32))
    data = encode_group(replace(plain(), flow=flow), STATE, TABLES)
    fewer = sample_tables(D, {1: 6})
    with pytest.raises(BitstreamError, match=r"expected a flow mode of \[1\], found 4"):
        decode_group(data, HELD, fewer)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\0\0"])
def test_short_packets_are_truncated(data: bytes) -> None:
    with pytest.raises(TruncatedError):
        parse_group_header(data)


@pytest.mark.parametrize("data", [b"\x01\0\0\0", b"\x81\0\0\0", b"\x80" + bytes(8192)])
def test_other_packets_are_refused(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="expected"):
        parse_group_header(data)


def test_the_encoder_refuses_what_the_format_does_not_have() -> None:
    good = plain()
    copy = coarse_copy([plain(tick=90)], good)
    wrong_shape = np.zeros((3, D + 1), dtype=np.int32)
    huge = np.full((3, D), STATE_LIMIT + 1, dtype=np.int32)
    for bad in (
        replace(good, gaps=(1,)),
        replace(good, gaps=(1, 0)),
        replace(good, gaps=(1, 2**14 + 1)),
        replace(good, states=wrong_shape),
        replace(good, states=huge),
        replace(good, states=good.states.astype(np.float32)),
        replace(good, tick=-1),
        replace(good, reference=256),
        replace(good, quantiser=4),
        plain(frames=5),
        replace(good, flow=FlowLayer(1, np.zeros(7, dtype=np.int32))),
        replace(good, flow=FlowLayer(1, np.full(6, STATE_LIMIT + 1, dtype=np.int32))),
        replace(good, redundant=replace(copy, reference=8)),
        replace(good, redundant=replace(copy, quantiser=2)),
        replace(good, redundant=replace(copy, tick=98)),
        replace(good, redundant=replace(copy, redundant=copy)),
    ):
        with pytest.raises(ValueError, match="expected"):
            encode_group(bad, STATE, TABLES)


def test_a_copy_from_before_time_is_an_error() -> None:
    late = plain(tick=2**16)
    carrying = replace(late, redundant=coarse_copy([plain(tick=2**16 - 5)], late))
    data = encode_group(carrying, STATE, TABLES)
    assert decode_group(data, HELD, TABLES, last=2**16) == carrying
    with pytest.raises(BitstreamError, match="found -5"):
        decode_group(data, HELD, TABLES, last=0)


@given(st.lists(st.integers(-STATE_LIMIT, STATE_LIMIT)), st.integers(0, 3), st.integers(0, 3))
def test_rescaling_is_the_nearest_integer(values: list[int], source: int, target: int) -> None:
    for value, result in zip(values, rescale(values, source, target), strict=True):
        twice = 2 * (value * MULTIPLIERS[source] - result * MULTIPLIERS[target])
        assert -MULTIPLIERS[target] <= twice < MULTIPLIERS[target]


def test_rescaling_rounds_halves_up() -> None:
    assert to_quantiser([4, -4, 1, -1, 12], 2) == [2, -2, 1, 0, 6]
    assert rescale([1, -1], 1, 3) == [1, 0]
    assert to_quantiser((3, -5), 0) == [3, -5]


@given(st.integers(0, 2**48), st.integers(-(2**15), 2**15 - 1))
def test_unwrap_finds_the_tick_near_the_last(last: int, step: int) -> None:
    tick = last + step
    assert unwrap(tick & 0xFFFF, last) == (tick if tick >= 0 else tick + 2**16)
