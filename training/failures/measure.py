# SPDX-License-Identifier: Apache-2.0
"""A scene through an encoder, as a call would run it: what mode it was in when, and what was shown.

A switch takes effect with the frame after which it was decided, as it does in a sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from talkcodec.bitstream import Reference
from talkcodec.decoder import DecodedState, Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.errors import MissingReference
from talkcodec.face.tracker import FaceTracker
from talkcodec.modes import ModeConfig, Reason
from talkcodec.types import U8, Frame, Mode, Packet

#: What the path does to a reference: seconds there and back, and bits per second for it.
ROUND_TRIP, RATE = 0.1, 60_000.0


@dataclass(frozen=True, slots=True)
class Step:
    """After one frame. ``struggling``: motion is shown, but is in doubt."""

    mode: Mode
    reason: Reason
    struggling: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What an encoder did, frame by frame. ``shown``: pictures by frame, where asked for."""

    steps: tuple[Step, ...]
    rate: Fraction
    references: int
    reference_bytes: int
    shown: dict[int, U8]

    @property
    def video_frames(self) -> int:
        """Frames in mode "video"."""
        return sum(step.mode == "video" for step in self.steps)

    @property
    def switches(self) -> int:
        """Changes from motion to video."""
        modes = ["motion", *(step.mode for step in self.steps)]
        return sum(a != b == "video" for a, b in pairwise(modes))

    def first(self, mode: Mode, start: int) -> int | None:
        """Return the first frame from ``start`` on after which the mode is ``mode``."""
        found = (i for i in range(start, len(self.steps)) if self.steps[i].mode == mode)
        return next(found, None)


class Path:
    """Carries references: one after the other at ``RATE``, and ``ROUND_TRIP`` to know of it."""

    def __init__(self) -> None:
        self._under_way: deque[tuple[float, Packet]] = deque()  # bounded by what an encoder sends
        self._free = 0.0

    def send(self, packet: Packet, time: float) -> None:
        """Take a reference at ``time`` seconds."""
        self._free = max(time, self._free) + len(packet.data) * 8 / RATE
        self._under_way.append((self._free + ROUND_TRIP, packet))

    def arrived(self, time: float) -> list[Packet]:
        """Return what has arrived, and is known to have, by ``time``."""
        out = []
        while self._under_way and self._under_way[0][0] <= time:
            out.append(self._under_way.popleft()[1])
        return out


def run(
    frames: Iterable[Frame],
    rate: Fraction,
    tracker: FaceTracker,
    modes: ModeConfig | None = None,
    *,
    wanted: Collection[int] = (),
) -> Run:
    """Encode ``frames`` in groups of three; keep what is shown at the frames in ``wanted``."""
    tracker.reset()
    config = EncoderConfig(
        tick_rate=rate, redundancy=True, acknowledged=True, modes=modes or ModeConfig()
    )
    encoder, path, screen = Encoder(config, tracker), Path(), _Screen(wanted)
    screen.receive([encoder.header()])
    steps: list[Step] = []
    references: list[int] = []
    for index, frame in enumerate(frames):
        time = float(frame.time)
        arrived = path.arrived(time)
        for packet in arrived:
            encoder.acknowledge(Reference.parse(packet.data).sequence)
        packets = encoder.encode(frame)
        for packet in packets:
            if packet.kind == "reference":
                path.send(packet, time)
                references.append(len(packet.data))
        steps.append(
            Step(encoder.mode, encoder.reason, encoder.mode == "motion" and encoder.low_confidence)
        )
        screen.receive(arrived + [packet for packet in packets if packet.kind == "motion"])
        if encoder.mode == "video" and index in wanted:
            screen.shown[index] = encoder.canvas(frame)
    screen.hold()
    return Run(tuple(steps), rate, len(references), sum(references), screen.shown)


class _Screen:
    """What a receiver shows at some frames; a group is drawn as if it came frame by frame."""

    def __init__(self, wanted: Collection[int]) -> None:
        self._wanted = sorted(wanted)
        self._decoder = Decoder() if self._wanted else None
        self._last: DecodedState | None = None
        self.shown: dict[int, U8] = {}

    def receive(self, packets: list[Packet]) -> None:
        if self._decoder is None:
            return
        for packet in packets:
            try:
                states = self._decoder.receive(packet.data)
            except MissingReference:
                continue
            for state in states:
                if state.fresh and state.tick in self._wanted:
                    self.shown[state.tick] = self._decoder.render(state)

    def hold(self) -> None:
        """Where nothing came, the picture before stays."""
        last: U8 | None = None
        for index in self._wanted:
            last = self.shown.get(index, last)
            if last is not None:
                self.shown[index] = last
