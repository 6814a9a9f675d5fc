# SPDX-License-Identifier: Apache-2.0
"""Silence, on a clock that the test moves."""

from __future__ import annotations

from talkcodec.bitstream.control import Alive, ControlMessage
from talkcodec.clock import ManualClock
from talkcodec.rtc.liveness import PULSE, SILENCE, Liveness
from talkcodec.rtc.messages import Channel


class Line:
    """One end of a path that a test breaks."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.connections = 1
        self.is_connected = True
        self.sent_at = self.heard_at = clock.now()
        self.said: list[tuple[ControlMessage, Channel]] = []

    def tell(self, message: ControlMessage, channel: Channel) -> None:
        self.said.append((message, channel))
        self.sent_at = self.clock.now()


def watch(line: Line, liveness: Liveness, seconds: float, *, heard: bool) -> None:
    for _ in range(round(seconds * 4)):
        line.clock.advance(0.25)
        if heard:
            line.heard_at = line.clock.now()
        liveness.look()


def test_who_has_nothing_to_say_says_so() -> None:
    clock, lost = ManualClock(), list[float]()
    line = Line(clock)
    liveness = Liveness(line, lambda: lost.append(clock.now()), clock)
    watch(line, liveness, 60.0, heard=True)
    assert len(line.said) == round(60.0 / PULSE)
    assert set(line.said) == {(Alive(), Channel.MOTION)}
    assert lost == []


def test_a_silent_path_is_lost_and_a_new_one_gets_its_time() -> None:
    clock, lost = ManualClock(), list[float]()
    line = Line(clock)
    liveness = Liveness(line, lambda: lost.append(clock.now()), clock)
    watch(line, liveness, SILENCE, heard=False)
    assert lost == []
    watch(line, liveness, 1.0, heard=False)
    assert lost[0] == SILENCE + 0.5
    line.is_connected = False
    lost.clear()
    watch(line, liveness, 20.0, heard=False)
    line.is_connected, line.connections = True, 2
    watch(line, liveness, SILENCE - 0.5, heard=False)
    assert lost == []
    watch(line, liveness, 30.0, heard=True)
    assert lost == []
