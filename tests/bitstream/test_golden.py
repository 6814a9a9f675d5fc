# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: the exact bytes of format version 1, and what they mean.

``TALKCODEC_REGENERATE=1 pytest tests/bitstream/test_golden.py`` writes them anew. A change in
them is a change of the format: raise ``VERSION`` and say so in the changelog.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from talkcodec.bitstream import (
    Acknowledge,
    Arrival,
    Bye,
    Chunk,
    ControlMessage,
    Hello,
    MotionGroup,
    Nack,
    PathReport,
    Reassembler,
    Reference,
    RequestReference,
    Stream,
    StreamHeader,
    TkcReader,
    classify,
    decode_group,
    encode_group,
    fragment,
    group_tick,
    parse_control,
    serialize_control,
    to_quantiser,
)
from talkcodec.bitstream.control import ModeChange, Mute, SoundTime
from talkcodec.bitstream.samples import (
    sample_file,
    sample_reference,
    sample_stream,
    sample_tables,
)
from talkcodec.entropy import TableSet
from talkcodec.types import Packet
from tests.bitstream.refused import refused_packets

GOLDEN = Path(__file__).parents[1] / "golden"
_SEED, _GROUPS, _DIMENSION = 20, 24, 7
_FLOW = {1: 6, 2: 32}


def motion_as_json(group: MotionGroup) -> dict[str, Any]:
    """Return what a second decoder must find in a motion packet."""
    return {
        "ticks": list(group.ticks),
        "reference": group.reference,
        "quantiser": group.quantiser,
        "states": group.states.tolist(),
        "flow": group.flow and [group.flow.mode, *group.flow.values.tolist()],
        "redundant": group.redundant and motion_as_json(group.redundant),
    }


def reference_as_json(reference: Reference) -> dict[str, Any]:
    """Return what a second decoder must find in a reference message."""
    return {
        "sequence": reference.sequence,
        "slot": reference.slot,
        "key": reference.key,
        "tick": reference.tick,
        "state": list(reference.state),
        "identity": reference.identity and list(reference.identity),
        "window": reference.window and list(reference.window),
        "codec": reference.codec,
        "picture": reference.picture.hex(),
    }


REPORT = PathReport(
    2**32 - 1, 65535, 250, (Arrival(65535, 0), Arrival(0x07FE, 32767, chunk=True)), (0, 1, 255)
)


def control_messages(header: bytes) -> list[ControlMessage]:
    return [
        Hello(1, bytes(range(8)), (256, 512), (1, 2)),
        Stream(header),
        Nack(200, (0, 7, 254)),
        Nack(3, None),
        Acknowledge(0),
        RequestReference(),
        Bye("hang up"),
        ModeChange("video", 2**48 - 1),
        SoundTime(2**32 - 1, 2**52 - 1),
        Mute(),
    ]


def far_packets(tables: TableSet) -> list[Packet]:
    """Packets whose 16-bit ticks tell the rule of section 6 from others that come near it."""
    header = StreamHeader(256, Fraction(25), tables.hash, max_bank=4)
    reference = sample_reference(Random(_SEED), tables.dimension, 0, 0)
    far = 2**20
    row = to_quantiser(reference.state, 0)

    def motion(tick: int, gaps: tuple[int, ...] = (), bearer: int = 0) -> Packet:
        states = np.array([row] * (len(gaps) + 1), np.int32)
        group = MotionGroup(tick, gaps, bearer, 0, states)
        return Packet("motion", encode_group(group, reference.state, tables), tick)

    return [
        Packet("header", header.serialize(), 0),
        Packet("reference", reference.serialize(), 0),
        motion(0, (2**14,) * 3),
        motion(100),  # from the group's first tick, not from its last
        Packet("header", replace(header, tick=far).serialize(), far),
        motion(far + 32000, bearer=9),  # lost, for there is no such reference, and yet it counts
        motion(far + 64000),
        motion(far + 63000),  # out of order
        motion(far + 63000 + 2**15 - 1),
    ]


def far_as_json(packets: list[Packet]) -> list[dict[str, Any]]:
    return [{"packet": packet.data.hex(), "tick": packet.tick} for packet in packets]


def make_stream() -> tuple[TableSet, list[Packet], list[Any]]:
    tables = sample_tables(_DIMENSION, _FLOW)
    packets, meaning = sample_stream(Random(_SEED), tables, _GROUPS)
    return tables, packets, meaning


@pytest.fixture(scope="module", autouse=True)
def _regenerate() -> None:
    if not os.environ.get("TALKCODEC_REGENERATE"):
        return
    GOLDEN.mkdir(exist_ok=True)
    tables, packets, meaning = make_stream()
    # Saved only when changed: safetensors orders its metadata differently from run to run.
    stored = GOLDEN / "tables.safetensors"
    if not stored.exists() or TableSet.load(stored).hash != tables.hash:
        tables.save(stored)
    (GOLDEN / "stream.tkc").write_bytes(sample_file(packets))
    content = {
        "table_hash": tables.hash.hex(),
        "header": {"size": 256, "tick_rate": [25, 1], "max_bank": 4, "tick": 0},
        "references": [reference_as_json(m) for m in meaning if isinstance(m, Reference)],
        "motion": [motion_as_json(m) for m in meaning if isinstance(m, MotionGroup)],
        "motion_bytes": [p.data.hex() for p in packets if p.kind == "motion"],
        "ticks": far_as_json(far_packets(tables)),
        "refused": [
            {"why": why, "packet": data.hex()}
            for why, data in refused_packets(tables, Reference.parse(packets[1].data))
        ],
        "chunks": [c.serialize().hex() for c in fragment(packets[1].data, 0, 40, 2)],
        "report": REPORT.serialize().hex(),
        "control": [serialize_control(m).hex() for m in control_messages(packets[0].data)],
    }
    write_vectors(GOLDEN / "stream.json", content)


def write_vectors(path: Path, content: dict[str, Any]) -> None:
    """Write one line per vector, so that a change shows where it is."""
    lines = [f" {json.dumps(key)}: {_lines(value)}" for key, value in content.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _lines(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / "stream.json").read_text(encoding="utf-8"))
    return content


def test_tables_have_the_golden_hash(expected: dict[str, Any]) -> None:
    tables = TableSet.load(GOLDEN / "tables.safetensors")
    assert tables.hash.hex() == expected["table_hash"]
    assert (tables.dimension, tables.flow) == (_DIMENSION, _FLOW)


def test_the_file_decodes_to_the_golden_integers(expected: dict[str, Any]) -> None:
    tables = TableSet.load(GOLDEN / "tables.safetensors")
    reader = TkcReader(io.BytesIO((GOLDEN / "stream.tkc").read_bytes()))
    states: dict[int, tuple[int, ...]] = {}
    references, motion, motion_bytes = [], [], []
    for packet in reader:
        if packet.kind == "reference":
            reference = Reference.parse(packet.data)
            states[reference.sequence] = reference.state
            references.append(reference_as_json(reference))
        elif packet.kind == "motion":
            group = decode_group(packet.data, states, tables, last=packet.tick)
            motion.append(motion_as_json(group))
            motion_bytes.append(packet.data.hex())
    assert reader.complete
    assert reader.header == StreamHeader(256, reader.header.tick_rate, tables.hash, 4)
    assert references == expected["references"]
    assert motion == expected["motion"]
    assert motion_bytes == expected["motion_bytes"]


def test_the_encoder_writes_the_golden_bytes() -> None:
    # The stored tables, not recomputed ones: those come from floats and are not part of a format.
    tables = TableSet.load(GOLDEN / "tables.safetensors")
    packets, _ = sample_stream(Random(_SEED), tables, _GROUPS)
    assert sample_file(packets) == (GOLDEN / "stream.tkc").read_bytes()


def test_ticks_go_on_from_the_packet_before(expected: dict[str, Any]) -> None:
    tables = TableSet.load(GOLDEN / "tables.safetensors")
    assert far_as_json(far_packets(tables)) == expected["ticks"]
    found, last = [], 0
    for each in expected["ticks"]:
        data = bytes.fromhex(each["packet"])
        kind = classify(data)
        if kind == "motion":
            last = group_tick(data, last)
        elif kind == "header":
            last = StreamHeader.parse(data).tick
        found.append({"packet": data.hex(), "tick": last if kind != "reference" else 0})
    assert found == expected["ticks"]
    reader = TkcReader(io.BytesIO(sample_file(far_packets(tables))))
    assert far_as_json(list(reader)) == expected["ticks"]


def test_the_vectors_exercise_the_whole_syntax(expected: dict[str, Any]) -> None:
    motion = expected["motion"]
    assert {group["quantiser"] for group in motion} == {0, 1, 2, 3}
    assert {len(group["states"]) for group in motion} == {1, 2, 3, 4}
    assert {group["flow"][0] for group in motion if group["flow"]} == set(_FLOW)
    assert any(group["redundant"] for group in motion)
    assert any(abs(value) > 1000 for group in motion for row in group["states"] for value in row)
    assert any(b - a > 4 for g in motion for a, b in zip(g["ticks"], g["ticks"][1:], strict=False))
    assert {reference["key"] for reference in expected["references"]} == {True, False}


def test_chunks_and_control_messages(expected: dict[str, Any]) -> None:
    reassembler = Reassembler()
    chunks = [Chunk.parse(bytes.fromhex(chunk)) for chunk in expected["chunks"]]
    whole = [reassembler.accept(chunk) for chunk in chunks[2:]]  # two of parity replace two
    assert whole[:-1] == [None] * (len(whole) - 1)
    assert whole[-1] is not None
    assert reference_as_json(Reference.parse(whole[-1])) == expected["references"][0]
    assert PathReport.parse(bytes.fromhex(expected["report"])) == REPORT
    reader = TkcReader(io.BytesIO((GOLDEN / "stream.tkc").read_bytes()))
    messages = control_messages(reader.header.serialize())
    assert [serialize_control(m).hex() for m in messages] == expected["control"]
    assert [parse_control(bytes.fromhex(data)) for data in expected["control"]] == messages
