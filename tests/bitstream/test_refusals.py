# SPDX-License-Identifier: Apache-2.0
"""What must be refused is, and two decoders agree on it, for packets that somebody damaged."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from talkcodec.bitstream import (
    Chunk,
    PathReport,
    Reference,
    StreamHeader,
    classify,
    decode_group,
    parse_control,
)
from talkcodec.bitstream.fuzz import mutate
from talkcodec.entropy import TableSet
from talkcodec.errors import BitstreamError
from tests.bitstream.refused import refused_packets
from tests.bitstream.test_golden import GOLDEN, motion_as_json, reference_as_json
from tests.bitstream.test_independent_decoder import Refused, Stream, read_file

_TICK = 100


class Package:
    """The package's parsers, as one decoder of the golden stream."""

    def __init__(self) -> None:
        self.tables = TableSet.load(GOLDEN / "tables.safetensors")
        self.references: dict[int, tuple[int, ...]] = {}

    def read(self, packet: bytes) -> dict[str, Any]:
        kind = classify(packet)
        if kind == "motion":
            return motion_as_json(decode_group(packet, self.references, self.tables, _TICK))
        if kind == "reference":
            reference = Reference.parse(packet)
            self.references[reference.sequence] = reference.state
            return reference_as_json(reference)
        if kind == "header":
            header = StreamHeader.parse(packet)
            header.require_tables(self.tables.hash)
            rate = list(header.tick_rate.as_integer_ratio())
            fields = {"size": header.size, "tick_rate": rate, "max_bank": header.max_bank}
            return {
                "table_hash": header.table_hash.hex(),
                "header": {**fields, "tick": header.tick},
            }
        if kind == "chunk":
            return {"found": Chunk.parse(packet)}
        return {"found": parse_control(packet) if kind == "control" else PathReport.parse(packet)}


def fed() -> tuple[Package, Stream, list[bytes]]:
    """Both decoders, with the references of the golden stream, and its packets."""
    package, second = Package(), Stream(GOLDEN / "tables.safetensors")
    packets = list(read_file((GOLDEN / "stream.tkc").read_bytes()))
    for packet in packets:
        if packet[0] == 2:
            assert package.read(packet) == second.read(packet)
    return package, second, packets


def test_the_golden_list_is_refused_packet_by_packet() -> None:
    expected = json.loads((GOLDEN / "stream.json").read_text(encoding="utf-8"))["refused"]
    package, _, packets = fed()
    first = Reference.parse(packets[1])
    made = refused_packets(package.tables, first)
    assert [{"why": why, "packet": data.hex()} for why, data in made] == expected
    for why, data in made:
        with pytest.raises(BitstreamError):
            pytest.fail(f"{why}: {package.read(data)}")


def test_both_decoders_agree_on_damaged_packets() -> None:
    package, second, packets = fed()
    random = Random(3)
    states = dict(package.references), dict(second.motion.references)
    agreed = {True: 0, False: 0}
    for _ in range(4000):
        packet = mutate(random.choice(packets), random, packets)
        if packet[:1] in (b"", b"\3", b"\4", b"\6"):
            continue
        found: list[dict[str, Any] | None] = []
        package.references, second.motion.references = dict(states[0]), dict(states[1])
        second.motion.last = _TICK
        for decoder, error in ((package, BitstreamError), (second, Refused)):
            try:
                found.append(decoder.read(packet))
            except error:
                found.append(None)
        assert found[0] == found[1], packet.hex()
        agreed[found[0] is not None] += 1
    assert min(agreed.values()) > 500
