# SPDX-License-Identifier: Apache-2.0
"""Frames made up for those that did not come."""

from __future__ import annotations

import numpy as np

from receiver.conceal import Concealer
from talkcodec.decoder import DecodedState
from talkcodec.scene import Drawing


def frame(tick: int, value: float, reference: int = 0, *, fresh: bool = True) -> DecodedState:
    return DecodedState(tick, Drawing(reference, np.full(12, value)), fresh)


def test_nothing_is_made_up_before_the_first_frame() -> None:
    assert Concealer(0.04).frame(3) is None


def test_a_guess_is_drawn_from_the_latest_reference_and_is_no_frame_of_its_own() -> None:
    concealer = Concealer(0.04)
    concealer.add(frame(1, 0.1, reference=4))
    concealer.add(frame(2, 0.2, reference=5))
    concealer.add(frame(0, 0.0, reference=3))  # late
    made = concealer.frame(3)
    assert made is not None
    assert (made.tick, made.reference, made.fresh) == (3, 5, False)
    assert made.drawing.state[0] > 0.2
    assert made.drawing.state[11] == 0.2
