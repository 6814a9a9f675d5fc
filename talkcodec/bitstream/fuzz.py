# SPDX-License-Identifier: Apache-2.0
"""Feed damaged packets and files to every parser: ``python -m talkcodec.bitstream.fuzz``.

Each input is an object or a ``BitstreamError``; whatever parses must serialize to something that
parses to the same again; memory must not grow. Anything else ends the run with exit status 1 and
the input in hexadecimal.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter

from talkcodec.bitstream.chunks import Chunk, Reassembler, fragment
from talkcodec.bitstream.coding import decode_group, encode_group
from talkcodec.bitstream.container import MAGIC, TkcReader
from talkcodec.bitstream.control import (
    Acknowledge,
    Alive,
    Bye,
    Hello,
    ModeChange,
    Mute,
    Nack,
    RequestReference,
    SoundTime,
    Stream,
    parse_control,
    serialize_control,
)
from talkcodec.bitstream.header import StreamHeader
from talkcodec.bitstream.reference import Reference
from talkcodec.bitstream.report import Arrival, PathReport
from talkcodec.bitstream.samples import framed, sample_file, sample_stream, sample_tables
from talkcodec.bitstream.wire import classify
from talkcodec.errors import BitstreamError
from talkcodec.types import Packet

#: Memory may grow by this much after the first tenth of the run, for the allocator's sake.
_SLACK_BYTES = 8 << 20

#: Every so many inputs one is put into a file with a correct check, to get past it.
_FRAMED = 8


class Target:
    """The parsers under test, with the state that a receiver would have."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.tables = sample_tables()
        packets, meaning = sample_stream(random, self.tables, groups=24)
        references = [item for item in meaning if isinstance(item, Reference)]
        self.references = {reference.sequence: reference.state for reference in references}
        self.reassembler = Reassembler()
        self.seeds = self._seeds(packets, random)

    def _seeds(self, packets: list[Packet], random: Random) -> list[bytes]:
        data = [packet.data for packet in packets]
        chunks = [
            chunk.serialize()
            for packet in packets
            if packet.kind == "reference"
            for chunk in fragment(packet.data, packet.data[2], 60, parity=3)
        ]
        control = [
            serialize_control(message)
            for message in (
                Hello(1, self.tables.hash, (256, 512), (1, 2)),
                Stream(data[0]),
                Nack(3, (0, 4, 5)),
                Nack(3, None),
                Acknowledge(7),
                RequestReference(),
                Bye("done"),
                ModeChange("video", 75),
                SoundTime(50, 1_000_000),
                Mute(),
                Alive(),
            )
        ]
        arrivals = (Arrival(75, 900), Arrival(0x0302, 20, chunk=True), Arrival(78, 0))
        control.append(PathReport(1 << 31, 1000, 120, arrivals, (1, 2, 3)).serialize())
        files = [sample_file(packets[:count]) for count in (1, 4, 8)]
        motion = [packet.data for packet in packets if packet.kind == "motion"]
        random.shuffle(motion)
        references = [packet.data for packet in packets if packet.kind == "reference"]
        return data[:1] * 6 + motion + references * 2 + chunks[:12] + control * 2 + files * 4

    def feed(self, data: bytes) -> str:
        """Parse ``data`` as what its first byte says and return its kind."""
        if data[:1] == b"\x89":
            seek(data)
            for packet in TkcReader(io.BytesIO(data)):
                self.feed(packet.data)
            return "file"
        kind = classify(data)
        if kind == "motion":
            group = decode_group(data, self.references, self.tables, last=1 << 20)
            again = encode_group(group, self.references[group.reference], self.tables)
            same = decode_group(again, self.references, self.tables, last=1 << 20) == group
        elif kind == "reference":
            reference = Reference.parse(data)
            same = Reference.parse(reference.serialize()) == reference
        elif kind == "header":
            header = StreamHeader.parse(data)
            same = StreamHeader.parse(header.serialize()) == header
        elif kind == "control":
            message = parse_control(data)
            same = parse_control(serialize_control(message)) == message
        elif kind == "report":
            report = PathReport.parse(data)
            same = PathReport.parse(report.serialize()) == report
        else:
            chunk = Chunk.parse(data)
            self.reassembler.accept(chunk)
            same = Chunk.parse(chunk.serialize()) == chunk
        if not same:
            raise AssertionError(f"a {kind} differs after serialize and parse")
        return kind


def seek(data: bytes) -> None:
    """Seek in the file ``data`` and check that what follows is the end of what it holds.

    Raises:
        BitstreamError: ``data`` does not begin as a file does.
        AssertionError: other packets came than were to be expected.
    """
    whole = _packets(TkcReader(io.BytesIO(data)))
    reader = TkcReader(io.BytesIO(data))
    header, *references = reader.seek(data[-1])
    rest = _packets(reader)
    good = rest == whole[len(whole) - len(rest) :] and header.kind == "header"
    if not good or any(packet not in whole or packet.kind != "reference" for packet in references):
        raise AssertionError(f"seeking to tick {data[-1]} gives other packets than reading")


def _packets(reader: TkcReader) -> list[Packet]:
    """Return the packets up to the end or the damage, but those that are refused."""
    found = []
    with contextlib.suppress(BitstreamError):
        for packet in reader.packets(lambda _: None):
            found.append(packet)  # noqa: PERF402  what was read before an error counts
    return found


def mutate(data: bytes, random: Random, seeds: list[bytes]) -> bytes:
    """Return ``data`` damaged in one to four of the ways that links and people know."""
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        way = random.randrange(7)
        at = int(random.random() * (len(out) + 1))
        if way == 0 and out:
            out[at - 1] ^= 1 << int(random.random() * 8)
        elif way == 1 and out:
            out[at - 1] = int(random.random() * 256)
        elif way == 2:
            del out[at:]
        elif way == 3:
            out[at:at] = random.randbytes(int(random.random() * 9))
        elif way == 4:
            del out[at : at + int(random.random() * 9)]
        elif way == 5:
            other = random.choice(seeds)
            out[at:] = other[int(random.random() * (len(other) + 1)) :]
        elif random.random() < 0.2:
            out[at : at + 4] = random.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80" * 4))
    return bytes(out)


def run(packets: int, seed: int, progress: Callable[[int], None]) -> tuple[Counter[str], list[int]]:
    """Feed ``packets`` damaged inputs; return outcomes by name and resident bytes over time.

    Raises ``AssertionError`` naming the input on which anything undocumented happened.
    """
    target = Target(seed)
    random = Random(seed + 1)
    outcomes: Counter[str] = Counter()
    resident = []
    step = max(packets // 10, 1)
    for index in range(packets):
        data = mutate(random.choice(target.seeds), random, target.seeds)
        if index % _FRAMED == 0:
            data = MAGIC + framed(target.seeds[0]) + framed(data)
        try:
            outcomes[f"parsed {target.feed(data)}"] += 1
        except BitstreamError as error:
            outcomes[type(error).__name__] += 1
        except Exception as error:
            raise AssertionError(f"{error!r} for {data.hex()}") from error
        if (index + 1) % step == 0:
            resident.append(resident_bytes())
            progress(index + 1)
    return outcomes, resident


def resident_bytes() -> int:
    """Return this process's resident memory in bytes (0 where /proc does not tell)."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is one JSON object.

    Resident memory in it is that after a tenth of the inputs and after the last.
    """
    parser = argparse.ArgumentParser(prog="python -m talkcodec.bitstream.fuzz", description=__doc__)
    parser.add_argument("--packets", type=int, default=100_000, help="number of damaged inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    options = parser.parse_args(arguments)
    start = perf_counter()
    try:
        outcomes, resident = run(options.packets, options.seed, lambda done: _say(f"{done} inputs"))
    except AssertionError as error:
        _say(f"expected an object or a BitstreamError, found {error}")
        return 1
    before, after = (resident[0], resident[-1]) if resident else (0, 0)
    growth = after - before
    report = {
        "inputs": options.packets,
        "seed": options.seed,
        "seconds": round(perf_counter() - start, 1),
        "outcomes": dict(sorted(outcomes.items())),
        "resident_mb": {"before": round(before / 1e6, 1), "after": round(after / 1e6, 1)},
        "resident_growth_bytes": growth,
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(report) + "\n")
    if growth > _SLACK_BYTES:
        _say(f"expected growth below {_SLACK_BYTES} B, found {growth}")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
