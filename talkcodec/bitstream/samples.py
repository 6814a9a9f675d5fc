# SPDX-License-Identifier: Apache-2.0
"""Made-up tables and messages: what golden vectors, the fuzz command and tests start from.

Everything follows from a seed. The tables resemble fitted ones in shape, not in value.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np

from talkcodec.bitstream.chunks import crc16
from talkcodec.bitstream.coding import encode_group
from talkcodec.bitstream.container import MAGIC, TkcWriter
from talkcodec.bitstream.header import StreamHeader
from talkcodec.bitstream.motion import MAX_GROUP, FlowLayer, MotionGroup, coarse_copy
from talkcodec.bitstream.quantiser import MULTIPLIERS, to_quantiser
from talkcodec.bitstream.reference import Reference
from talkcodec.bitstream.wire import END, write_varint
from talkcodec.entropy import FrequencyTable, TableSet, laplace_table
from talkcodec.entropy.tableset import table_names
from talkcodec.types import Packet

FLOW = {1: 6, 2: 32, 3: 72, 4: 128}
_INTRA, _INTER, _FLOW = 6.0, 1.5, 0.5


def sample_tables(dimension: int = 30, flow: Mapping[int, int] | None = None) -> TableSet:
    """Return Laplacian tables: wide for intra, narrow for inter and flow."""
    flow = FLOW if flow is None else flow

    def table(name: str) -> FrequencyTable:
        context, first, last = name.split(".")
        if context == "flow":
            return laplace_table(_FLOW, 8)
        scale = _INTRA if context == "intra" else _INTER
        scale *= 8 / MULTIPLIERS[int(first)] * (1 + int(last) % 5 / 4)
        return laplace_table(scale, 4 + int(6 * scale))

    names = table_names(dimension, flow)
    return TableSet({name: table(name) for name in names}, dimension, flow)


def sample_state(random: Random, dimension: int) -> tuple[int, ...]:
    """Return a state in finest steps."""
    return tuple(random.randint(-300, 300) for _ in range(dimension))


def sample_group(
    random: Random, tables: TableSet, reference: Reference, tick: int, *, rich: bool = True
) -> MotionGroup:
    """Return a group that moves gently away from ``reference``; ``rich`` adds rare syntax."""
    quantiser = random.randrange(4)
    row = to_quantiser(reference.state, quantiser)
    rows = []
    for _ in range(random.randint(1, MAX_GROUP)):
        row = [value + _step(random, rare=rich) for value in row]
        rows.append(row)
    gaps = tuple(random.choice((1, 1, 1, 2, 40)) if rich else 1 for _ in rows[1:])
    flow = None
    if rich and tables.flow and random.random() < 0.5:
        mode = random.choice(sorted(tables.flow))
        values = [_step(random, rare=False) // 2 for _ in range(tables.flow[mode])]
        flow = FlowLayer(mode, np.array(values, dtype=np.int32))
    states = np.array(rows, dtype=np.int32)
    return MotionGroup(tick, gaps, reference.sequence, quantiser, states, flow)


def sample_reference(random: Random, dimension: int, sequence: int, tick: int) -> Reference:
    """Return a reference with random bytes for a picture; the first of a stream is complete."""
    first = sequence == 0
    return Reference(
        sequence=sequence,
        slot=sequence % 4,
        key=first,
        tick=tick,
        state=sample_state(random, dimension),
        identity=sample_state(random, 10) if first else None,
        window=(4, 8, 484, 488) if first else None,
        codec=1,
        picture=random.randbytes(random.randint(20, 60)),
    )


def sample_stream(
    random: Random, tables: TableSet, groups: int
) -> tuple[list[Packet], list[StreamHeader | Reference | MotionGroup]]:
    """Return a stream as packets and as what they mean, one for one.

    A reference comes before every fourth group; later groups carry the one before as redundancy
    half of the time.
    """
    header = StreamHeader(256, Fraction(25), tables.hash, max_bank=4)
    packets = [Packet("header", header.serialize(), 0)]
    meaning: list[StreamHeader | Reference | MotionGroup] = [header]
    tick = 0
    reference = sample_reference(random, tables.dimension, 0, tick)
    previous: MotionGroup | None = None
    for index in range(groups):
        if index % 4 == 0:
            reference = sample_reference(random, tables.dimension, index // 4 % 256, tick)
            packets.append(Packet("reference", reference.serialize(), tick))
            meaning.append(reference)
        group = sample_group(random, tables, reference, tick)
        if previous and random.random() < 0.5:
            group = replace(group, redundant=coarse_copy([previous], group))
        packets.append(Packet("motion", encode_group(group, reference.state, tables), tick))
        meaning.append(group)
        previous = group
        tick = group.ticks[-1] + random.choice((1, 1, 1, 3))
    return packets, meaning


def sample_file(packets: list[Packet]) -> bytes:
    """Return ``packets`` as a whole ``.tkc`` file."""
    file = io.BytesIO()
    with TkcWriter(file) as writer:
        for packet in packets:
            writer.write(packet)
    return file.getvalue()


def whole_file(records: Sequence[bytes]) -> bytes:
    """Return ``records``, whatever they are, as a ``.tkc`` file whose checks are right."""
    data = bytearray(MAGIC + b"".join(map(framed, records)))
    end = bytes((END,)) + write_varint(len(records)) + zlib.crc32(data).to_bytes(4, "little")
    return bytes(data + framed(end))


def framed(record: bytes) -> bytes:
    """Return ``record`` with its length and a check that is right."""
    return write_varint(len(record)) + record + crc16(record).to_bytes(2, "little")


def _step(random: Random, *, rare: bool) -> int:
    """Return a small integer, once in a while a huge one that must escape its table."""
    if rare and random.random() < 0.01:
        return random.randint(-200_000, 200_000)
    return sum(random.randint(-2, 2) for _ in range(3))
