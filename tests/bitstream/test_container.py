# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from dataclasses import replace
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from talkcodec.bitstream import (
    Limits,
    MotionGroup,
    Reference,
    StreamHeader,
    TkcReader,
    TkcWriter,
    decode_group,
    encode_group,
    group_tick,
)
from talkcodec.bitstream.container import MAGIC
from talkcodec.bitstream.samples import (
    framed,
    sample_file,
    sample_group,
    sample_stream,
    sample_tables,
    whole_file,
)
from talkcodec.errors import BitstreamError, TruncatedError, VersionError
from talkcodec.types import Packet

TABLES = sample_tables(4, {1: 6})
PACKETS, MEANING = sample_stream(Random(11), TABLES, 20)
FILE = sample_file(PACKETS)


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time and cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._source = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._source.read(min(size, 3))

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def read_all(data: bytes) -> tuple[list[Packet], BitstreamError | None]:
    """Return the packets before the first damage, and the damage."""
    packets: list[Packet] = []
    try:
        for packet in TkcReader(io.BytesIO(data)):
            packets.append(packet)  # noqa: PERF402 - what was read before an error counts
    except BitstreamError as error:
        return packets, error
    return packets, None


def test_round_trip() -> None:
    reader = TkcReader(io.BytesIO(FILE))
    assert isinstance(MEANING[0], StreamHeader)
    assert reader.header == MEANING[0]
    assert list(reader) == PACKETS
    assert reader.complete
    assert reader.read() is None


def test_pipes_work() -> None:
    assert list(TkcReader(Trickle(FILE))) == PACKETS  # type: ignore[arg-type]


def test_overhead_is_three_or_four_bytes_a_record() -> None:
    payload = sum(len(packet.data) for packet in PACKETS)
    assert 3 * len(PACKETS) <= len(FILE) - payload <= 4 * len(PACKETS) + 8 + 12


def test_every_cut_leaves_what_was_before_it() -> None:
    whole = [len(sample_file(PACKETS[:count])) - 10 for count in range(1, len(PACKETS) + 1)]
    for length in range(len(FILE)):
        packets, error = read_all(FILE[:length])
        assert isinstance(error, TruncatedError)
        assert packets == PACKETS[: len(packets)]
        # A packet is there as soon as its last byte is; the end record is at most 10 bytes.
        assert len(packets) >= sum(end <= length for end in whole) - 1
    assert read_all(FILE) == (PACKETS, None)


def test_every_flipped_bit_is_noticed() -> None:
    for position in range(0, 8 * len(FILE), 3):
        data = bytearray(FILE)
        data[position // 8] ^= 1 << position % 8
        packets, error = read_all(bytes(data))
        assert error is not None
        assert "\n" not in str(error)
        assert packets == PACKETS[: len(packets)]


@pytest.mark.parametrize(
    "data", [b"RIFF", b"RIFF1234WAVE", MAGIC.replace(b"\r\n", b"\n") + b"12", bytes(1000), b"\x89P"]
)
def test_foreign_files_are_none_however_short(data: bytes) -> None:
    with pytest.raises(BitstreamError, match=r"expected a \.tkc file, found other bytes"):
        TkcReader(io.BytesIO(data))


@pytest.mark.parametrize("data", [b"", b"\x89TK", MAGIC])
def test_the_beginning_of_a_file_is_truncated(data: bytes) -> None:
    with pytest.raises(TruncatedError, match=rf"expected a whole \.tkc .* its end at {len(data)}"):
        TkcReader(io.BytesIO(data))


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=60), st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_packets_or_a_bitstream_error(head: bytes, body: bytes, depth: int) -> None:
    """Random bytes as a file, after the magic number, and as a record with a correct check."""
    data = (
        head + body,
        MAGIC + head + body,
        MAGIC + framed(PACKETS[0].data) + framed(body) + head,
    )[depth]
    packets, error = read_all(data)
    # Nothing this short and random ends with a correct end record.
    assert error is not None
    assert packets[:1] == PACKETS[: min(len(packets), 1)]


def test_another_version_is_refused() -> None:
    header = bytearray(PACKETS[0].data)
    header[1] = 9
    with pytest.raises(VersionError, match="expected format version 1, found 9"):
        TkcReader(io.BytesIO(MAGIC + framed(bytes(header)) + framed(PACKETS[1].data)))


def test_bytes_after_the_end_are_an_error() -> None:
    packets, error = read_all(FILE + b"\0")
    assert packets == PACKETS
    assert "expected the end of the file" in str(error)


def test_a_missing_record_is_noticed_at_the_end() -> None:
    end = 1 + 6 + 2
    last = 3 + len(PACKETS[-1].data)
    packets, error = read_all(FILE[: -end - last] + FILE[-end:])
    assert packets == PACKETS[:-1]
    assert f"expected {len(PACKETS)} records" in str(error)


def test_an_exception_leaves_the_file_visibly_truncated() -> None:
    file = io.BytesIO()

    def stop() -> None:
        with TkcWriter(file) as writer:
            writer.write(PACKETS[0])
            writer.write(PACKETS[1])
            raise KeyError

    with pytest.raises(KeyError):
        stop()
    packets, error = read_all(file.getvalue())
    assert packets == PACKETS[:2]
    assert isinstance(error, TruncatedError)


def test_records_that_do_not_belong_are_refused() -> None:
    other = bytearray(PACKETS[0].data)
    other[3] ^= 1
    for record, message in (
        (b"\4\x81\xa4type\xa3bye", "expected a record of the stream, found a control"),
        (bytes(other), "expected the stream header repeated"),
        (b"\7", "expected a packet type"),
        (b"\x80\0", "of motion"),
        (b"\2", "of a reference"),
    ):
        reader = TkcReader(io.BytesIO(MAGIC + framed(PACKETS[0].data) + framed(record)))
        assert reader.read() == PACKETS[0]
        with pytest.raises(BitstreamError, match=message):
            reader.read()


def test_what_follows_a_refused_packet_is_read_and_found() -> None:
    data = [packet.data for packet in PACKETS]
    bad = [*data[:9], b"\7", b"\x80\0", b"\2", *data[9:]]
    reader = TkcReader(io.BytesIO(whole_file(bad)))
    refused: list[BitstreamError] = []
    assert list(reader.packets(refused.append)) == PACKETS
    assert len(refused) == 3
    assert reader.complete
    last = next(packet for packet in reversed(PACKETS) if packet.kind == "motion")
    reader.seek(last.tick)
    assert reader.read() == last
    reader = TkcReader(io.BytesIO(whole_file(bad)[:-1]))
    with pytest.raises(TruncatedError):
        list(reader.packets(refused.append))


def test_records_are_bounded() -> None:
    with pytest.raises(BitstreamError, match="expected a shortest integer below 5001"):
        TkcReader(io.BytesIO(MAGIC + b"\xff\xff\xff\x7f"), Limits(reference=5000, motion=5000))
    with pytest.raises(BitstreamError, match="empty"):
        TkcReader(io.BytesIO(MAGIC + b"\0\0\0"))


def test_the_writer_refuses_what_would_not_be_read() -> None:
    writer = TkcWriter(io.BytesIO())
    with pytest.raises(ValueError, match="expected a header first, found a reference"):
        writer.write(PACKETS[1])
    writer.write(PACKETS[0])
    with pytest.raises(ValueError, match="expected a motion, found a reference"):
        writer.write(Packet("motion", PACKETS[1].data, 0))
    motion = next(packet for packet in PACKETS if packet.kind == "motion")
    with pytest.raises(ValueError, match="expected motion of tick"):
        writer.write(Packet("motion", motion.data, motion.tick + 1))


def test_long_pauses_are_anchored_by_a_header() -> None:
    reference = MEANING[1]
    assert isinstance(reference, Reference)
    ticks = [0, 2**15 - 1, 2**16, 2**16 + 5, 10**9, 10**9 + 2**15]
    packets = PACKETS[:2]
    for tick in ticks:
        group = sample_group(Random(tick), TABLES, reference, tick, rich=False)
        packets.append(Packet("motion", encode_group(group, reference.state, TABLES), tick))
    found = list(TkcReader(io.BytesIO(sample_file(packets))))
    assert [packet for packet in found if packet.kind == "motion"] == packets[2:]
    assert [packet.tick for packet in found if packet.kind == "header"] == [
        0,
        2**16,
        10**9,
        10**9 + 2**15,
    ]
    assert found[-1].tick == ticks[-1]


def test_whoever_seeks_far_counts_from_there() -> None:
    reference = MEANING[1]
    assert isinstance(reference, Reference)
    packets = PACKETS[:2]
    for tick in range(0, 2**17, 2**14):
        group = sample_group(Random(tick), TABLES, reference, tick, rich=False)
        packets.append(Packet("motion", encode_group(group, reference.state, TABLES), tick))
    reader = TkcReader(io.BytesIO(sample_file(packets)))
    for sought in packets[2:]:
        header = StreamHeader.parse(reader.seek(sought.tick)[0].data)
        found = reader.read()
        assert found is not None
        assert found == sought
        assert group_tick(found.data, header.tick) == sought.tick


def test_references_do_not_anchor_ticks() -> None:
    """They may arrive late, and a live decoder does not look at their ticks."""
    reference = MEANING[1]
    assert isinstance(reference, Reference)
    late, early = replace(reference, tick=10**6), replace(reference, tick=3)
    packets = PACKETS[:1]
    for tick, before in ((0, reference), (10**6, late), (10**6 + 3, early)):
        packets.append(Packet("reference", before.serialize(), before.tick))
        group = sample_group(Random(tick), TABLES, reference, tick, rich=False)
        packets.append(Packet("motion", encode_group(group, reference.state, TABLES), tick))
    found = list(TkcReader(io.BytesIO(sample_file(packets))))
    assert [(p.kind, p.tick) for p in found] == [
        ("header", 0),
        ("reference", 0),
        ("motion", 0),
        ("reference", 10**6),
        ("header", 10**6),
        ("motion", 10**6),
        ("reference", 3),
        ("motion", 10**6 + 3),
    ]


def decodable(packets: list[Packet]) -> list[int]:
    """Return the ticks of the frames that a fresh decoder gets from ``packets``."""
    states: dict[int, tuple[int, ...]] = {}
    ticks: list[int] = []
    for packet in packets:
        if packet.kind == "reference":
            reference = Reference.parse(packet.data)
            states[reference.sequence] = reference.state
        elif packet.kind == "motion":
            ticks += decode_group(packet.data, states, TABLES, last=packet.tick).ticks
    return ticks


def test_seek_gives_a_decoder_all_it_needs() -> None:
    groups = [item for item in MEANING if isinstance(item, MotionGroup)]
    reader = TkcReader(io.BytesIO(FILE))
    for target in (0, 7, groups[9].tick, groups[9].tick + 1, groups[-1].tick, 10**6):
        packets = reader.seek(target) + list(reader)
        assert packets[0].kind == "header"
        starts = [group.tick for group in groups if group.tick <= target]
        assert decodable(packets) == [t for g in groups if g.tick >= starts[-1] for t in g.ticks]
        assert reader.complete


def test_seek_gives_no_references_that_nothing_needs() -> None:
    """Four slots, a key every four references: seven are needed where they name the identity."""
    packets, meaning = sample_stream(Random(5), TABLES, 80)
    keyed = []
    for packet, item in zip(packets, meaning, strict=True):
        if isinstance(item, Reference) and item.sequence % 4 == 0:
            # One key says nothing of the identity: what begins with it knows none.
            identity = None if item.sequence == 12 else (1, 2)
            key = replace(item, key=True, identity=identity)
            keyed.append(Packet("reference", key.serialize(), packet.tick))
        else:
            keyed.append(packet)
    reader = TkcReader(io.BytesIO(sample_file(keyed)))
    needed = reader.seek(keyed[-1].tick)
    sequences = [Reference.parse(packet.data).sequence for packet in needed[1:]]
    assert sequences == [16, 17, 18, 19]
    middle = next(p.tick for p in keyed if p.kind == "motion" and p.data[3] == 9)
    needed = reader.seek(middle)
    assert [Reference.parse(p.data).sequence for p in needed[1:]] == [4, 5, 6, 7, 8, 9]
    later = next(p.tick for p in keyed if p.kind == "motion" and p.data[3] == 15)
    needed = reader.seek(later)
    assert [Reference.parse(p.data).sequence for p in needed[1:]] == list(range(8, 16))


def test_seek_in_a_truncated_file_finds_what_is_there() -> None:
    cut = FILE[: len(FILE) * 2 // 3]
    packets, _ = read_all(cut)
    reader = TkcReader(io.BytesIO(cut))
    reader.seek(10**6)
    last = reader.read()
    assert last is not None
    assert last.tick == max(packet.tick for packet in packets if packet.kind == "motion")
    with pytest.raises(TruncatedError):
        list(reader)


def test_a_file_inside_another_one_can_be_sought() -> None:
    file = io.BytesIO(b"prefix" + FILE)
    file.seek(6)
    reader = TkcReader(file)
    first = next(packet for packet in PACKETS if packet.kind == "motion")
    reader.seek(0)
    assert reader.read() == first
