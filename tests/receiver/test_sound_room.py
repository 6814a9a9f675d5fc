# SPDX-License-Identifier: Apache-2.0
"""The thread that plays sound, and what it does when it cannot."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from receiver.sound import SoundRoom, Together
from talkcodec.bitstream.control import SoundTime
from talkcodec.clock import SystemClock
from talkcodec.errors import TalkcodecError
from talkcodec.media.sound import BLOCK, SoundBlock
from talkcodec.rtc.soundplayout import SoundPlayoutConfig


def test_a_sink_that_fails_is_told_of_and_pictures_wait_for_sound_no_longer() -> None:
    failed, together = threading.Event(), Together(0.3)

    def play(_block: SoundBlock) -> None:
        raise OSError("the disk is full")

    room = SoundRoom(
        play,
        together,
        failed.set,
        config=SoundPlayoutConfig(),
        latency=0.0,
        clock=SystemClock(),
    )
    room.start()
    room.note(SoundTime(0, 0))
    for number in range(5):
        room.put(number, np.zeros(BLOCK, np.int16))
    assert failed.wait(60)
    assert isinstance(room.failure, TalkcodecError)
    assert "the disk is full" in str(room.failure)
    assert together.picture_floor() == float("-inf")
    room.close()


def heard(room: SoundRoom, numbers: range, blocks: int) -> None:
    for number in numbers:
        room.put(number, np.full(blocks * BLOCK, number, np.int16))


def test_packets_of_several_blocks_are_played_block_by_block() -> None:
    played: list[SoundBlock] = []
    enough, together = threading.Event(), Together(0.3)

    def play(block: SoundBlock) -> None:
        played.append(block)
        if len(played) == 12:
            enough.set()

    room = SoundRoom(
        play,
        together,
        enough.set,
        config=SoundPlayoutConfig(),
        latency=0.0,
        clock=SystemClock(),
    )
    room.note(SoundTime(0, 0))
    heard(room, range(0, 12, 3), 3)
    room.start()
    assert enough.wait(60)
    room.close()
    assert room.failure is None
    values = [block.samples[0] for block in played[:12]]
    assert values == [3 * (number // 3) for number in range(12)]
    assert all(block.samples.shape == (BLOCK,) for block in played)


@pytest.mark.parametrize("samples", [0, 1, BLOCK - 1, BLOCK + 1, 7 * BLOCK, 100 * BLOCK])
def test_what_no_packet_of_opus_can_hold_is_dropped(samples: int) -> None:
    room = SoundRoom(
        lambda _block: None,
        Together(0.3),
        lambda: None,
        config=SoundPlayoutConfig(),
        latency=0.0,
        clock=SystemClock(),
    )
    room.put(0, np.zeros(samples, np.int16))
    assert room.waiting == 0
