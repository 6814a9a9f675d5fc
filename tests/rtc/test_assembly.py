# SPDX-License-Identifier: Apache-2.0
"""Pictures from packets that were lost, came late or came twice."""

from __future__ import annotations

import random
from fractions import Fraction

import av
import pytest
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from talkcodec.rtc.assembly import CAPACITY, LARGEST, Asking, Assembly, Passage

KEY, OTHER = b"\x10\x02\x00\x9d\x01\x2a", b"\x11\x02\x00\x9d\x01\x2a"

#: Number of the first packet: numbers wrap in the middle of each test.
FIRST = 65500


def packet(number: int, tick: int, data: bytes = b"opus", *, marker: bool = True) -> RtpPacket:
    made = RtpPacket(
        payload_type=96,
        marker=int(marker),
        sequence_number=(FIRST + number) % 65536,
        timestamp=(4294960000 + 3600 * tick) % (1 << 32),
    )
    # As aiortc's receiver does.
    made._data = data  # type: ignore[attr-defined]
    return made


class Way:
    """A video line into an assembly; pictures are of ``packets`` packets each."""

    def __init__(self) -> None:
        self.shown: list[bytes] = []
        self.assembly = Assembly(self.hand_over)

    def hand_over(self, frame: JitterFrame, last: RtpPacket) -> None:
        assert last.timestamp == frame.timestamp
        self.shown.append(frame.data)

    def add(self, one: RtpPacket) -> bool:
        lost, frame = self.assembly.add(one)
        if frame is not None:
            self.shown.append(frame.data)
        return lost


def pictures(count: int, keys: set[int], packets: int = 1) -> list[RtpPacket]:
    made = []
    for tick in range(count):
        for part in range(packets):
            begin = (KEY if tick in keys else OTHER) if part == 0 else bytes(4)
            data = begin + bytes((tick, part))
            last = part == packets - 1
            made.append(packet(packets * tick + part, tick, data, marker=last))
    return made


def ticks(way: Way) -> list[int]:
    return [data[6] for data in way.shown]


def test_a_picture_is_there_with_its_last_packet() -> None:
    way = Way()
    for index, one in enumerate(pictures(60, {0}, packets=2)):
        assert not way.add(one)
        assert len(way.shown) == (index + 1) // 2
    assert ticks(way) == list(range(60))
    assert all(len(data) == 14 for data in way.shown)


def test_what_waited_for_a_packet_comes_all_at_once_with_it() -> None:
    way, sent = Way(), pictures(60, {0})
    for one in sent[:40] + sent[41:44]:
        way.add(one)
    assert ticks(way) == list(range(40))
    way.add(sent[40])
    assert ticks(way) == list(range(44))
    way.add(sent[40])  # a second answer
    assert ticks(way) == list(range(44))


def test_a_key_picture_does_not_wait_and_what_came_before_it_is_dropped() -> None:
    way, sent = Way(), pictures(60, {0, 45}, packets=3)
    kept = [one for index, one in enumerate(sent) if index not in {120, 140}]
    random.Random(1).shuffle(late := [sent[120], sent[140]])
    for one in kept + late:
        way.add(one)
    assert ticks(way) == [*range(40), *range(45, 60)]


def test_nothing_is_decoded_before_a_key_picture() -> None:
    way = Way()
    for one in pictures(30, {12}):
        way.add(one)
    assert ticks(way) == list(range(12, 30))


def test_a_gap_that_nothing_fills_is_given_up_once() -> None:
    way, sent = Way(), pictures(250, {0, 230})
    lost = [way.add(one) for index, one in enumerate(sent) if index != 50]
    assert sum(lost) == 1
    assert ticks(way) == [*range(50), *range(230, 250)]
    assert len(way.assembly) == 0


def test_any_packets_are_bounded_and_raise_nothing() -> None:
    way, rng = Way(), random.Random(2)
    asking = Asking()
    for _ in range(3000):
        begin = rng.choice([KEY, OTHER, b"", rng.randbytes(8)])
        one = packet(rng.randrange(65536), rng.randrange(1 << 20), begin, marker=rng.random() < 0.5)
        way.add(one)
        asking.add(one)
        assert len(way.assembly) <= CAPACITY
        assert len(asking.missing) <= CAPACITY


def test_a_lost_packet_is_asked_for_again_and_not_for_ever() -> None:
    asking, asked = Asking(), []
    for tick in range(40):
        if tick == 5:
            continue
        if asking.add(packet(tick, tick)):
            assert asking.missing == {(FIRST + 5) % 65536}
            asked.append(tick)
    # At once, and after 80, 120 and 180 ms more; pictures come every 40 ms.
    assert asked == [6, 8, 11, 16]


def test_what_came_is_asked_for_no_more() -> None:
    asking = Asking()
    asking.add(packet(0, 0))
    assert asking.add(packet(2, 2))
    assert not asking.add(packet(1, 1))
    assert not any(asking.add(packet(tick, tick)) for tick in range(3, 30))


def key_picture(width: int, height: int) -> bytes:
    """Return a key picture as libvpx codes it."""
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    frame = av.VideoFrame(width, height, "yuv420p")
    return b"".join(bytes(coded) for coded in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.mark.parametrize("sides", [(16, 16), (LARGEST, 16), (16, LARGEST)])
def test_pictures_of_a_size_that_is_shown_are_decoded(sides: tuple[int, int]) -> None:
    way = Way()
    way.add(packet(0, 0, key_picture(*sides)))
    assert len(way.shown) == 1


@pytest.mark.parametrize("sides", [(LARGEST + 16, 16), (16, LARGEST + 16), (16383, 16383)])
def test_no_decoder_sees_a_giant_picture_or_what_goes_on_from_it(sides: tuple[int, int]) -> None:
    way = Way()
    # A claim costs nothing: whoever makes it need not code a picture of that size. The upper two
    # bits ask for the picture to be scaled.
    giant = KEY + b"".join((side | 0x4000).to_bytes(2, "little") for side in sides) + bytes(20)
    way.add(packet(0, 0, giant))
    way.add(packet(1, 1, OTHER + bytes(20)))
    assert way.shown == []
    way.add(packet(2, 2, key_picture(16, 16)))
    way.add(packet(3, 3, OTHER + bytes(20)))
    assert len(way.shown) == 2


@pytest.mark.parametrize("first", [0, 36])
def test_sound_passes_at_once_and_only_what_was_overtaken_is_lost(first: int) -> None:
    passage = Passage()
    come = [first + number for number in (0, 1, 2, 5, 4, 6)]
    passed = [passage.add(packet(number, number)) for number in come]
    assert [frame is not None for _, frame in passed] == [True, True, True, True, False, True]
    assert not any(lost for lost, _ in passed)
