# SPDX-License-Identifier: Apache-2.0
"""Motion packets: a group of 1 to 4 frames that decodes by itself, given its reference.

FORMAT.md section 8. ``encode_group`` and ``decode_group`` walk the same syntax in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from talkcodec.bitstream.motion import (
    GROUP_HEADER,
    MAX_GAP,
    MAX_GROUP,
    FlowLayer,
    MotionGroup,
    check_group,
    group_header_bytes,
    parse_group_header,
)
from talkcodec.bitstream.quantiser import COARSEST, rescale, to_quantiser
from talkcodec.bitstream.wire import STATE_LIMIT, unwrap
from talkcodec.entropy import FrequencyTable, RangeDecoder, RangeEncoder, TableSet
from talkcodec.errors import BitstreamError, MissingReference

# Part of the format, not of the shipped tables: ticks between frames, and a choice of 1 to 4.
_GAP = FrequencyTable(1, (16128, 128, 64, 32, 32))
_CHOICE = FrequencyTable(1, (4096, 4096, 4096, 4095, 1))


def encode_group(group: MotionGroup, reference_state: Sequence[int], tables: TableSet) -> bytes:
    """Return the motion packet of ``group``.

    ``reference_state``: the D integers of its reference, in finest steps. Raises ``ValueError``
    for a group that FORMAT.md does not allow.
    """
    check_group(group, tables)
    coder = RangeEncoder()
    for gap in group.gaps:
        coder.encode(gap, _GAP)
    rows = group.states.tolist()
    predicted = to_quantiser(reference_state, group.quantiser)
    contexts = [tables.intra[group.quantiser]] + [tables.inter[group.quantiser]] * (len(rows) - 1)
    for row, context in zip(rows, contexts, strict=True):
        _encode_row(coder, row, predicted, context)
        predicted = row
    if group.flow:
        coder.encode(group.flow.mode, _CHOICE)
        zeros = [0] * len(group.flow.values)
        _encode_row(coder, group.flow.values.tolist(), zeros, tables.flow_tables[group.flow.mode])
    if group.redundant:
        nearest = rescale(rows[0], group.quantiser, COARSEST)
        _encode_redundant(coder, group.redundant, group.tick, nearest, tables)
    return group_header_bytes(group) + coder.finish()


def decode_group(
    data: bytes, references: Mapping[int, Sequence[int]], tables: TableSet, last: int = 0
) -> MotionGroup:
    """Return the group of a motion packet.

    ``references``: states in finest steps by sequence number. ``last``: as ``group_tick`` takes
    it, or what that returns. Raises ``MissingReference`` when the reference
    is not there and ``BitstreamError`` for anything that is not a motion packet.
    """
    header = parse_group_header(data)
    state = references.get(header.reference)
    if state is None:
        raise MissingReference(f"expected reference {header.reference}, found {sorted(references)}")
    if len(state) != tables.dimension:
        raise BitstreamError(f"expected a state of {tables.dimension}, found {len(state)}")
    coder = RangeDecoder(data[GROUP_HEADER:])
    gaps = tuple(_decode_within(coder, _GAP, MAX_GAP) for _ in range(header.count - 1))
    quantiser = header.quantiser
    rows = [_decode_row(coder, to_quantiser(state, quantiser), tables.intra[quantiser])]
    for _ in gaps:
        rows.append(_decode_row(coder, rows[-1], tables.inter[quantiser]))
    tick = unwrap(header.tick16, last)
    flow = _decode_flow(coder, tables) if header.flow else None
    redundant = None
    if header.redundant:
        nearest = rescale(rows[0], quantiser, COARSEST)
        redundant = _decode_redundant(coder, header.reference, tick, nearest, tables)
    states = np.array(rows, dtype=np.int32)
    return MotionGroup(tick, gaps, header.reference, quantiser, states, flow, redundant)


def _encode_row(
    coder: RangeEncoder,
    row: Sequence[int],
    predicted: Sequence[int],
    tables: Sequence[FrequencyTable],
) -> None:
    for value, guess, table in zip(row, predicted, tables, strict=True):
        coder.encode(value - guess, table)


def _decode_row(
    coder: RangeDecoder, predicted: Sequence[int], tables: Sequence[FrequencyTable]
) -> list[int]:
    row = [guess + coder.decode(table) for guess, table in zip(predicted, tables, strict=True)]
    if max(row) > STATE_LIMIT or min(row) < -STATE_LIMIT:
        raise BitstreamError(f"expected integers within ±{STATE_LIMIT}, found others")
    return row


def _decode_within(coder: RangeDecoder, table: FrequencyTable, most: int) -> int:
    value = coder.decode(table)
    if not 1 <= value <= most:
        raise BitstreamError(f"expected an integer from 1 to {most}, found {value}")
    return value


def _decode_flow(coder: RangeDecoder, tables: TableSet) -> FlowLayer:
    mode = _decode_within(coder, _CHOICE, MAX_GROUP)
    context = tables.flow_tables.get(mode)
    if context is None:
        raise BitstreamError(f"expected a flow mode of {sorted(tables.flow)}, found {mode}")
    values = _decode_row(coder, [0] * len(context), context)
    return FlowLayer(mode, np.array(values, dtype=np.int32))


def _encode_redundant(
    coder: RangeEncoder, copy: MotionGroup, tick: int, nearest: list[int], tables: TableSet
) -> None:
    """Code ``copy`` backwards in time from ``nearest``, the following frame's coarse state."""
    coder.encode(len(copy.states), _CHOICE)
    for later, earlier in pairwise([tick, *reversed(copy.ticks)]):
        coder.encode(later - earlier, _GAP)
    for row in reversed(copy.states.tolist()):
        _encode_row(coder, row, nearest, tables.inter[COARSEST])
        nearest = row


def _decode_redundant(
    coder: RangeDecoder, reference: int, tick: int, nearest: list[int], tables: TableSet
) -> MotionGroup:
    count = _decode_within(coder, _CHOICE, MAX_GROUP)
    gaps = [_decode_within(coder, _GAP, MAX_GAP) for _ in range(count)]
    rows = []
    for _ in range(count):
        nearest = _decode_row(coder, nearest, tables.inter[COARSEST])
        rows.append(nearest)
    first = tick - sum(gaps)
    if first < 0:
        raise BitstreamError(f"expected redundant frames at ticks of 0 or more, found {first}")
    states = np.array(rows[::-1], dtype=np.int32)
    return MotionGroup(first, tuple(gaps[:0:-1]), reference, COARSEST, states)
