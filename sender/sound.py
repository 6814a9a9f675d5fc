# SPDX-License-Identifier: Apache-2.0
"""The sound of a sender: blocks in, numbered Opus packets out, and when they were captured."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from talkcodec.bitstream.control import Mute, SoundTime
from talkcodec.clock import Clock
from talkcodec.media.opus import OpusEncoder
from talkcodec.media.sound import BLOCK, I16, RATE, SoundBlock
from talkcodec.rtc.soundrate import SoundPlan
from talkcodec.rtc.timeline import Timeline

#: Seconds by which packets may come off their announced times before new ones are told.
_DRIFT = 0.01

_BLOCK = BLOCK / RATE


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """``data``: Opus; ``number``: of its first block of 20 ms, counts from 0 with time, also
    through a mute.
    """

    data: bytes
    number: int


@dataclass(slots=True)
class SoundCounts:
    """Totals: ``packets`` made, their ``bytes``, blocks given while ``muted``."""

    packets: int = 0
    bytes: int = 0
    muted: int = 0


class SoundEncoding:
    """One thread gives sound; any thread may mute, ask for the time to be told again, and set
    ``plan``, which holds from the next packet on.
    """

    def __init__(self, clock: Clock, plan: SoundPlan) -> None:
        self.counts = SoundCounts()
        self.plan = plan
        self._clock = clock
        self._encoder: OpusEncoder | None = None
        self._planned: SoundPlan | None = None
        self._timeline = Timeline()
        self._rest: I16 = np.zeros(0, np.int16)
        self._number = 0
        self._told: float | None = None
        self._silenced = True
        self._muted = threading.Event()
        self._anew = threading.Event()

    @property
    def muted(self) -> bool:
        """Whether what is given is thrown away."""
        return self._muted.is_set()

    def mute(self, *, on: bool) -> None:
        """Send nothing from the next block on, or sound again."""
        if on:
            self._muted.set()
        else:
            self._muted.clear()

    def forget(self) -> None:
        """Tell the other side anew of times: it may be another one."""
        self._anew.set()  # ``put`` may be about to write what was told

    def put(
        self, block: SoundBlock, latency: float, begin: float | None
    ) -> tuple[SoundTime | Mute | None, list[SoundPacket]]:
        """Take ``block`` when its last sample has just been heard, ``latency`` seconds ago.

        ``begin``: the clock's time at which the pictures' tick 0 was captured, or None before.
        Returns what the other side must be told first, and the packets to send after it.
        """
        if self._anew.is_set():
            self._anew.clear()
            self._told = None
        self._timeline.note(block.time + block.seconds, self._clock.now() - latency)
        origin = self._timeline.origin or 0.0
        samples = np.concatenate([self._rest, block.samples])
        start = origin + block.time - len(self._rest) / RATE
        plan = self.plan
        size = plan.blocks * BLOCK
        whole = len(samples) // size
        self._rest = samples[whole * size :]
        first, self._number = self._number, self._number + whole * plan.blocks
        if self._muted.is_set():
            return self._silence(whole * plan.blocks), []
        notice = None if begin is None else self._time(first, start - begin)
        return notice, [
            self._packet(samples[index * size :][:size], first + index * plan.blocks, plan)
            for index in range(whole)
        ]

    def _packet(self, samples: I16, number: int, plan: SoundPlan) -> SoundPacket:
        if self._encoder is None or plan != self._planned:
            self._encoder, self._planned = OpusEncoder(plan.rate, plan.blocks), plan
        data = self._encoder.encode(samples)
        self.counts.packets += 1
        self.counts.bytes += len(data)
        return SoundPacket(data, number)

    def _silence(self, whole: int) -> Mute | None:
        self.counts.muted += whole
        notice = None if self._silenced else Mute()
        self._silenced, self._told = True, None
        return notice

    def _time(self, number: int, time: float) -> SoundTime | None:
        """Return when packet ``number`` was captured, if the other side must be told."""
        zero = time - number * _BLOCK
        if time < 0 or (self._told is not None and abs(zero - self._told) < _DRIFT):
            return None
        self._told, self._silenced = zero, False
        return SoundTime(number, round(time * 1e6))
