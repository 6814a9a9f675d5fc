# SPDX-License-Identifier: Apache-2.0
"""The thread that plays sound, and what it does when it cannot."""

from __future__ import annotations

import threading

import numpy as np

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
