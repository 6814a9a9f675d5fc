# SPDX-License-Identifier: Apache-2.0
"""A second decoder, written from FORMAT.md alone: Python integers and the standard library.

It imports nothing of the package, has its own range decoder and no float anywhere. That it finds
the golden integers shows that FORMAT.md is complete and that no float decides a symbol.
"""

from __future__ import annotations

import ast
import binascii
import hashlib
import json
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
WEIGHTS = Path(__file__).parents[2] / "talkcodec" / "weights"

Table = tuple[int, list[int]]
GAP: Table = (1, [16128, 128, 64, 32, 32])
CHOICE: Table = (1, [4096, 4096, 4096, 4095, 1])
COIN: Table = (0, [8192, 8192])
MULTIPLIERS = (8, 12, 16, 24)
M64 = (1 << 64) - 1
LIMIT = 1 << 20
TICKS = 1 << 48


class Refused(Exception):
    """A packet violates a rule of the document, or lacks its reference."""


def need(good: object) -> None:
    if not good:
        raise Refused


class RangeDecoder:
    """Section 3."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.next = 8
        self.lower, self.range = 0, M64
        self.point = int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def slot(self, counts: list[int]) -> int:
        scale = self.range >> 24
        quantile = ((self.point - self.lower) & M64) // scale
        need(quantile < 1 << 24)
        slot, edge = 0, 0
        while edge + counts[slot] <= quantile >> 10:
            edge += counts[slot]
            slot += 1
        self.lower = (self.lower + scale * edge * 1024) & M64
        self.range = scale * counts[slot] * 1024
        if self.range < 1 << 32:
            word = self.data[self.next : self.next + 4].ljust(4, b"\0")
            self.next += 4
            self.lower = self.lower << 32 & M64
            self.range <<= 32
            self.point = self.point << 32 & M64 | int.from_bytes(word, "big")
        return slot

    def integer(self, table: Table) -> int:
        minimum, counts = table
        slot = self.slot(counts)
        if slot < len(counts) - 1:
            return minimum + slot
        above = self.slot(COIN[1])
        extra = 0
        while self.slot(COIN[1]) == 0:
            extra += 1
            need(extra <= 24)
        distance = 1
        for _ in range(extra):
            distance = 2 * distance + self.slot(COIN[1])
        return minimum + len(counts) - 2 + distance if above else minimum - distance


class Bytes:
    """Section 1."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        need(len(piece) == count)
        self.at += count
        return piece

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self, below: int) -> int:
        value = shift = 0
        while True:
            byte = self.uint(1)
            value |= (byte & 127) << shift
            need(value < below)
            if byte < 128:
                need(byte or not shift)
                return value
            shift += 7
            need(below >> shift)

    def integers(self, least: int, most: int) -> list[int]:
        values: list[int] = []
        count, text = self.varint(most + 1), ""
        need(count >= least)
        while len(values) < count or "1" in text:
            need(len(values) < count)
            one = text.find("1")
            if one < 0 or len(text) < 2 * one + 1:
                text += f"{self.uint(1):08b}"
                continue
            code, text = int(text[one : 2 * one + 1], 2), text[2 * one + 1 :]
            values.append(code // 2 if code % 2 else -code // 2)
            need(abs(values[-1]) <= LIMIT)
        return values

    def finish(self) -> None:
        need(self.at == len(self.data))


def read_tables(data: bytes) -> tuple[dict[str, Table], int, dict[int, int], bytes]:
    """Section 4: tables, D, modes and the hash, from a safetensors file."""
    (size,) = struct.unpack_from("<Q", data)
    entries: dict[str, Any] = json.loads(data[8 : 8 + size])
    metadata = entries.pop("__metadata__")
    tables = {}
    for name, entry in entries.items():
        first, last = entry["data_offsets"]
        raw = data[8 + size + first : 8 + size + last]
        minimum, *counts = struct.unpack(f"<{len(raw) // 2}h", raw)
        assert sum(counts) == 1 << 14
        tables[name] = (minimum, list(counts))
    dimension = int(metadata["dimension"])
    flow = {int(p.split(":")[0]): int(p.split(":")[1]) for p in metadata["flow"].split(",")}
    names = [f"{c}.{q}.{d}" for c in ("intra", "inter") for q in range(4) for d in range(dimension)]
    names += [f"flow.{mode}.{i}" for mode in sorted(flow) for i in range(flow[mode])]
    text = b"talkcodec-tables-1" + bytes((dimension, len(flow)))
    text += b"".join(struct.pack("<BH", mode, flow[mode]) for mode in sorted(flow))
    for name in names:
        minimum, counts = tables[name]
        text += struct.pack(f"<hH{len(counts)}H", minimum, len(counts), *counts)
    return tables, dimension, flow, hashlib.sha256(text).digest()[:8]


def read_file(data: bytes) -> Iterator[bytes]:
    """Section 11: the packets of a whole file."""
    reader = Bytes(data)
    need(reader.take(8) == bytes.fromhex("89544b430d0a1a0a"))
    records = 0
    while True:
        start = reader.at
        packet = reader.take(reader.varint((1 << 18) + 1))
        need(packet)
        need(reader.uint(2) == binascii.crc_hqx(packet, 0xFFFF))
        if packet[0] == 5:
            end = Bytes(packet[1:])
            need(end.varint(1 << 32) == records)
            need(end.uint(4) == zlib.crc32(data[:start]))
            end.finish()
            reader.finish()
            return
        yield packet
        records += 1


def read_header(packet: bytes) -> dict[str, Any]:
    """Section 6."""
    reader = Bytes(packet)
    need(reader.take(2) == b"\1\1")
    canvas, bank = reader.uint(1), reader.uint(1)
    need(canvas < 2 and 1 <= bank <= 8)
    over, under = rate = [reader.varint(1 << 24), reader.varint(1 << 24)]
    need(over and under and over <= 1000 * under and math.gcd(over, under) == 1)
    table_hash = reader.take(8).hex()
    tick = reader.varint(TICKS)
    reader.finish()
    fields = {"size": 256 << canvas, "tick_rate": rate, "max_bank": bank, "tick": tick}
    return {"table_hash": table_hash, "header": fields}


def read_reference(packet: bytes) -> dict[str, Any]:
    """Section 7."""
    reader = Bytes(packet)
    need(reader.uint(1) == 2 and len(packet) <= 262144)
    bits, sequence, codec = reader.uint(1), reader.uint(1), reader.uint(1)
    need(bits < 64)
    tick = reader.varint(TICKS)
    state = reader.integers(1, 64)
    identity = reader.integers(0, 256) if bits & 2 else None
    window = [reader.uint(2) for _ in range(4)] if bits & 4 else None
    need(not window or (window[0] < window[2] and window[1] < window[3]))
    return {
        "sequence": sequence,
        "slot": bits >> 3,
        "key": bool(bits & 1),
        "tick": tick,
        "state": state,
        "identity": identity,
        "window": window,
        "codec": codec,
        "picture": packet[reader.at :].hex(),
    }


def rescale(row: list[int], source: int, target: int) -> list[int]:
    """Section 5."""
    a, b = MULTIPLIERS[source], MULTIPLIERS[target]
    return [(2 * value * a + b) // (2 * b) for value in row]


class Motion:
    """Section 8."""

    def __init__(self, tables: dict[str, Table], dimension: int, flow: dict[int, int]) -> None:
        self.tables, self.dimension, self.flow = tables, dimension, flow
        self.references: dict[int, list[int]] = {}
        self.last = 0

    def tick(self, packet: bytes) -> int:
        """Section 6: of the first frame. It counts whatever the rest of the packet is."""
        need(4 <= len(packet) <= 8192)
        bits, low, high, _ = packet[:4]
        need(bits >> 7 == 1 and bits & 1 == 0)
        tick = self.last + ((low + 256 * high - self.last + 2**15) % 2**16) - 2**15
        self.last = tick if tick >= 0 else tick + 2**16
        return self.last

    def row(self, coder: RangeDecoder, context: str, predicted: list[int]) -> list[int]:
        values = [
            value + coder.integer(self.tables[f"{context}.{d}"])
            for d, value in enumerate(predicted)
        ]
        need(all(abs(value) <= LIMIT for value in values))
        return values

    def within(self, coder: RangeDecoder, table: Table, most: int) -> int:
        value = coder.integer(table)
        need(1 <= value <= most)
        return value

    def read(self, packet: bytes) -> dict[str, Any]:
        tick, bits, reference = self.tick(packet), packet[0], packet[3]
        count, q = (bits >> 5 & 3) + 1, bits >> 3 & 3
        need(len(self.references.get(reference, ())) == self.dimension)
        coder = RangeDecoder(packet[4:])
        ticks = [tick]
        for _ in range(count - 1):
            ticks.append(ticks[-1] + self.within(coder, GAP, 1 << 14))
        states = [self.row(coder, f"intra.{q}", rescale(self.references[reference], 0, q))]
        for _ in range(count - 1):
            states.append(self.row(coder, f"inter.{q}", states[-1]))
        flow = None
        if bits & 4:
            mode = self.within(coder, CHOICE, 4)
            need(mode in self.flow)
            flow = [mode, *self.row(coder, f"flow.{mode}", [0] * self.flow[mode])]
        copy = (
            self.read_copy(coder, tick, reference, rescale(states[0], q, 3)) if bits & 2 else None
        )
        return {
            "ticks": ticks,
            "reference": reference,
            "quantiser": q,
            "states": states,
            "flow": flow,
            "redundant": copy,
        }

    def read_copy(
        self, coder: RangeDecoder, tick: int, reference: int, near: list[int]
    ) -> dict[str, Any]:
        count = self.within(coder, CHOICE, 4)
        ticks, states = [tick], [near]
        for _ in range(count):
            ticks.append(ticks[-1] - self.within(coder, GAP, 1 << 14))
        need(ticks[-1] >= 0)
        for _ in range(count):
            states.append(self.row(coder, "inter.3", states[-1]))
        return {
            "ticks": ticks[:0:-1],
            "reference": reference,
            "quantiser": 3,
            "states": states[:0:-1],
            "flow": None,
            "redundant": None,
        }


class Stream:
    """Sections 2, 6, 7 and 8 together: packets in, what they mean out."""

    def __init__(self, tables: Path) -> None:
        read, dimension, flow, table_hash = read_tables(tables.read_bytes())
        self.table_hash = table_hash.hex()
        self.motion = Motion(read, dimension, flow)

    def read(self, packet: bytes) -> dict[str, Any]:
        """Raises ``Refused``."""
        need(packet)
        if packet[0] >= 128:
            return self.motion.read(packet)
        if packet[0] == 2:
            reference = read_reference(packet)
            self.motion.references[reference["sequence"]] = reference["state"]
            return reference
        header = read_header(packet)
        need(header["table_hash"] == self.table_hash)
        self.motion.last = header["header"]["tick"]
        return header


def golden(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return golden("stream.json")


@pytest.mark.parametrize(
    ("name", "tables"),
    [("stream", GOLDEN / "tables.safetensors"), ("shipped", WEIGHTS / "tables.safetensors")],
)
def test_it_finds_the_golden_integers(name: str, tables: Path) -> None:
    expected, stream = golden(f"{name}.json"), Stream(tables)
    packets = list(read_file((GOLDEN / f"{name}.tkc").read_bytes()))
    found = [stream.read(packet) for packet in packets]
    of_kind = {
        kind: [f for f, p in zip(found, packets, strict=True) if p[0] == kind] for kind in (1, 2)
    }
    assert stream.table_hash == expected["table_hash"]
    assert [header["header"] for header in of_kind[1]] == [expected["header"]]
    assert of_kind[2] == expected["references"]
    motion = [f for f, p in zip(found, packets, strict=True) if p[0] >= 128]
    assert motion == expected["motion"]


def test_it_counts_ticks_from_the_packet_before(expected: dict[str, Any]) -> None:
    stream = Stream(GOLDEN / "tables.safetensors")
    for each in expected["ticks"]:
        packet = bytes.fromhex(each["packet"])
        if packet[0] >= 128 and packet[3] not in stream.motion.references:
            with pytest.raises(Refused):
                stream.read(packet)
        else:
            stream.read(packet)
        assert packet[0] == 2 or stream.motion.last == each["tick"]


def test_it_refuses_what_must_be_refused(expected: dict[str, Any]) -> None:
    stream = Stream(GOLDEN / "tables.safetensors")
    for packet in read_file((GOLDEN / "stream.tkc").read_bytes()):
        stream.read(packet)
    kinds = set()
    for each in expected["refused"]:
        packet = bytes.fromhex(each["packet"])
        if packet[:1] not in (b"\3", b"\4", b"\6"):
            kinds.add(packet[:1])
            stream.motion.last = 100
            with pytest.raises(Refused):
                pytest.fail(f"{each['why']}: {stream.read(packet)}")
    assert {b"\1", b"\2", b"\x80"} < kinds


def test_it_joins_the_golden_chunks(expected: dict[str, Any]) -> None:
    chunks = [bytes.fromhex(chunk) for chunk in expected["chunks"]]
    count = len(chunks) - 2
    length = sum(len(chunk) - 10 for chunk in chunks[:count])
    message = b"".join(chunk[10:] for chunk in chunks[:count])
    for index, chunk in enumerate(chunks):
        crc = binascii.crc_hqx(message, 0xFFFF)
        head = struct.pack("<BBHHBBBB", 3, 0, crc, length & 0xFFFF, length >> 16, index, count, 2)
        assert chunk[:10] == head
        assert len(chunk) - 10 == -(-length // count) or index == count - 1
    assert read_reference(message) == expected["references"][0]


def test_its_parity_is_that_of_the_golden_chunks(expected: dict[str, Any]) -> None:
    pieces = [bytes.fromhex(chunk)[10:] for chunk in expected["chunks"]]
    generator = [1, 1 ^ 2, 2]  # (x - 1)(x - 2)
    for byte in range(len(pieces[0])):
        word = [piece[byte] if byte < len(piece) else 0 for piece in pieces]
        rest = [*word[:-2], 0, 0]
        for place in range(len(rest) - 2):
            factor = rest[place]
            for step, coefficient in enumerate(generator):
                rest[place + step] ^= times(factor, coefficient)
        assert rest[-2:] == word[-2:]


def times(a: int, b: int) -> int:
    """The field of section 9."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def test_it_reads_the_golden_report(expected: dict[str, Any]) -> None:
    data = bytes.fromhex(expected["report"])
    kind, version, clock, received, delay, held = struct.unpack_from("<BBIHHB", data)
    assert (kind, version, clock, received, delay) == (6, 1, (1 << 32) - 1, 65535, 250)
    assert list(data[11 : 11 + held]) == [0, 1, 255]
    assert data[11 + held] == 2
    assert struct.unpack_from("<4H", data, 12 + held) == (65535, 0, 0x07FE, 0xFFFF)


def test_crc_is_the_one_of_the_document() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1


def test_it_uses_integers_and_the_standard_library_only() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    assert not [n for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, float)]
    divisions = [n for n in nodes if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)]
    paths = ("GOLDEN /", "WEIGHTS /", "Path(__file__).parents")
    assert all(ast.unparse(node).startswith(paths) for node in divisions)
    modules = {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    modules |= {name.name for n in nodes if isinstance(n, ast.Import) for name in n.names}
    assert {str(m).split(".")[0] for m in modules} - set(sys.stdlib_module_names) == {"pytest"}
