# SPDX-License-Identifier: Apache-2.0
"""What a receiver tells of itself, without a call."""

from __future__ import annotations

from typing import Any

import pytest

from receiver import Receiver
from talkcodec.clock import ManualClock
from talkcodec.media.sinks import ShownFrame
from talkcodec.rtc.playout import PlayoutBuffer


def ignore(_frame: ShownFrame) -> None:
    """Nobody looks."""


async def test_the_delay_of_pictures_is_told_while_none_waits() -> None:
    receiver = Receiver(ignore, clock=ManualClock())
    assert receiver.media().picture_delay is None
    playout: PlayoutBuffer[Any] = PlayoutBuffer(0.04)
    receiver._screen.playout = playout
    playout.push(0, None, 7.0)
    assert receiver.media().picture_delay == pytest.approx(7.005)
    assert playout.due(7.01) is not None
    assert len(playout) == 0
    assert receiver.media().picture_delay == pytest.approx(7.005)
