# SPDX-License-Identifier: Apache-2.0
"""When a sender takes the time to see a group as the receiver will."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import cast

import numpy as np
import pytest

from sender import Sender
from talkcodec.clock import ManualClock
from talkcodec.encoder import Encoder
from talkcodec.types import Frame, Packet

FRAME = Frame(np.zeros((64, 64, 3), np.uint8), 0, Fraction(1, 25))


class Judge:
    """Stands in for an encoder: notes whether it was given the time to judge."""

    def __init__(self) -> None:
        self.judged: list[bool] = []

    def reflect(self, *, busy: bool = False) -> list[Packet]:
        self.judged.append(not busy)
        return []


def judged(frames: int, size: int, *, waiting: bool = False) -> list[int]:
    """Return at which of ``frames``, 25 a second, in groups of ``size``, a group was judged."""

    async def main() -> list[int]:
        clock, judge = ManualClock(), Judge()
        sender = Sender(clock=clock)
        if waiting:
            sender.put(FRAME)
        ends = range(size - 1, frames, size)
        for index in range(frames):
            sender._reflect(cast("Encoder", judge), closed=index in ends)
            clock.advance(0.04)
        return [index for index in ends if judge.judged[index]]

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("size", "wanted"),
    [(1, [0, 3, 6, 9]), (2, [1, 5, 9]), (3, [2, 5, 8, 11]), (4, [3, 7, 11])],
)
def test_groups_are_judged_as_often_as_those_of_three(size: int, wanted: list[int]) -> None:
    assert judged(12, size) == wanted


def test_a_sender_that_falls_behind_judges_now_and_then() -> None:
    assert judged(24, 3, waiting=True) == [2, 14]
