# SPDX-License-Identifier: Apache-2.0
"""Frames for moments of which nothing came, made from those before (and after) them."""

from __future__ import annotations

from dataclasses import replace

from talkcodec.decoder import DecodedState
from talkcodec.motion.extrapolate import StateTrack


class Concealer:
    """Takes every decoded frame; makes one for a tick that is missing."""

    def __init__(self, tick_seconds: float) -> None:
        self._track = StateTrack(tick_seconds)
        self._last: DecodedState | None = None

    def add(self, state: DecodedState) -> None:
        """Take a frame, in any order; copies count less."""
        self._track.add(state.tick, state.drawing.state, fresh=state.fresh)
        if self._last is None or state.tick >= self._last.tick or self._track.newest == state.tick:
            self._last = state

    def frame(self, tick: int) -> DecodedState | None:
        """Return a frame for ``tick``, drawn from the latest reference; None before the first."""
        guess = self._track.at(tick)
        if guess is None or self._last is None:
            return None
        return DecodedState(tick, replace(self._last.drawing, state=guess), fresh=False)
