# SPDX-License-Identifier: Apache-2.0
"""Sound on its way out: numbers that count time, and what the other side is told of it."""

from __future__ import annotations

import av
import numpy as np

from sender.sound import SoundEncoding, SoundPacket
from talkcodec.bitstream.control import Mute, SoundTime
from talkcodec.clock import ManualClock
from talkcodec.media.sound import BLOCK, RATE, SoundBlock, mono, tone
from talkcodec.rtc.soundrate import SoundPlan


class Studio:
    """A source at the pace of a clock of the test's own."""

    def __init__(self) -> None:
        self.clock = ManualClock(50.0)
        self.encoding = SoundEncoding(self.clock, SoundPlan(20_000, 1))
        self.packets: list[SoundPacket] = []
        self.notices: list[SoundTime | Mute] = []

    def give(self, block: SoundBlock, begin: float | None = 50.0, latency: float = 0.0) -> None:
        now = 50.0 + block.time + block.seconds + latency
        self.clock.advance(max(now - self.clock.now(), 0.0))
        notice, packets = self.encoding.put(block, latency, begin)
        self.packets += packets
        if notice is not None:
            self.notices.append(notice)


def test_packets_are_numbered_and_their_time_is_told_once() -> None:
    studio = Studio()
    for block in tone(1.0):
        studio.give(block)
    assert [packet.number for packet in studio.packets] == list(range(50))
    assert studio.notices == [SoundTime(0, 0)]
    assert studio.encoding.counts.packets == 50


def test_what_comes_out_is_what_went_in() -> None:
    studio = Studio()
    for block in tone(0.5, 1000):
        studio.give(block)
    decoder = av.CodecContext.create("libopus", "r")
    sound = np.concatenate(
        [mono(frame) for p in studio.packets for frame in decoder.decode(av.Packet(p.data))]
    )
    spectrum = np.abs(np.fft.rfft(sound[4800:]))
    assert abs(np.argmax(spectrum) * RATE / len(sound[4800:]) - 1000) < 10


def test_the_latency_of_a_source_is_not_sound_that_comes_later() -> None:
    studio = Studio()
    for block in tone(0.2):
        studio.give(block, latency=0.1)
    assert studio.notices == [SoundTime(0, 0)]


def test_nothing_is_told_before_there_are_pictures() -> None:
    studio = Studio()
    blocks = list(tone(1.0))
    for block in blocks[:10]:
        studio.give(block, begin=None)
    for block in blocks[10:]:
        studio.give(block, begin=50.3)
    # The first block after the first picture, at 0.3 s, is number 15.
    assert studio.notices == [SoundTime(15, 0)]


def test_numbers_go_on_through_a_mute() -> None:
    studio = Studio()
    blocks = list(tone(0.6))
    for block in blocks[:10]:
        studio.give(block)
    studio.encoding.mute(on=True)
    for block in blocks[10:20]:
        studio.give(block)
    studio.encoding.mute(on=False)
    for block in blocks[20:]:
        studio.give(block)
    assert [packet.number for packet in studio.packets] == [*range(10), *range(20, 30)]
    assert studio.notices == [SoundTime(0, 0), Mute(), SoundTime(20, 400_000)]
    assert studio.encoding.counts.muted == 10


def test_blocks_of_any_length_become_packets_of_20_ms() -> None:
    studio = Studio()
    samples = np.concatenate([block.samples for block in tone(0.3)])
    for start in range(0, len(samples), 700):
        studio.give(SoundBlock(samples[start : start + 700], start / RATE))
    assert len(studio.packets) == len(samples) // BLOCK
    assert studio.notices == [SoundTime(0, 0)]


def test_a_clock_that_drifts_is_told_of() -> None:
    studio = Studio()
    fast = 1.001  # a sound card that takes a thousandth longer for its samples than it should
    for block in tone(30.0):
        studio.clock.advance(max(50.0 + (block.time + 0.02) * fast - studio.clock.now(), 0))
        notice, _ = studio.encoding.put(block, 0.0, 50.0)
        if notice is not None:
            studio.notices.append(notice)
    assert 2 <= len(studio.notices) <= 4
    last = studio.notices[-1]
    assert isinstance(last, SoundTime)
    assert abs(last.time_us / 1e6 - last.packet * 0.02 * fast) < 0.011


def test_another_listener_is_told_anew() -> None:
    studio = Studio()
    blocks = list(tone(0.2))
    for block in blocks[:5]:
        studio.give(block)
    studio.encoding.forget()
    for block in blocks[5:]:
        studio.give(block)
    assert studio.notices == [SoundTime(0, 0), SoundTime(5, 100_000)]


def test_a_narrow_path_gets_longer_and_smaller_packets_from_the_next_block_on() -> None:
    studio = Studio()
    blocks = list(tone(2.0))
    for number, block in enumerate(blocks):
        if number == 40:
            studio.encoding.plan = SoundPlan(10_000, 3)
        if number == 72:  # two of three blocks of a packet are there
            studio.encoding.plan = SoundPlan(20_000, 1)
        studio.give(block)
    numbers = [packet.number for packet in studio.packets]
    assert numbers == [*range(40), *range(40, 70, 3), *range(70, 100)]
    long = [len(packet.data) for packet in studio.packets if 40 <= packet.number < 70]
    short = [len(packet.data) for packet in studio.packets[20:40]]
    assert (np.mean(long[5:]) + 72) / 3 < 0.6 * (np.mean(short) + 72)
    # Their time is the same as before, so nothing is told.
    assert studio.notices == [SoundTime(0, 0)]


def test_packets_of_any_plan_decode_in_a_row() -> None:
    studio = Studio()
    for number, block in enumerate(tone(1.5, 1000)):
        studio.encoding.plan = SoundPlan(20_000, 1) if number < 30 else SoundPlan(10_000, 3)
        studio.give(block)
    decoder = av.CodecContext.create("libopus", "r")
    frames = [mono(f) for p in studio.packets for f in decoder.decode(av.Packet(p.data))]
    assert {len(frame) for frame in frames} == {BLOCK, 3 * BLOCK}
    sound = np.concatenate(frames)[RATE:]
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(np.argmax(spectrum) * RATE / len(sound) - 1000) < 10


def test_what_is_muted_counts_blocks_whatever_a_packet_holds() -> None:
    studio = Studio()
    studio.encoding.plan = SoundPlan(10_000, 3)
    studio.encoding.mute(on=True)
    for block in tone(0.6):
        studio.give(block)
    assert studio.encoding.counts.muted == 30
