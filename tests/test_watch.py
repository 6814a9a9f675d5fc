# SPDX-License-Identifier: Apache-2.0
"""The encoder and its judge: what goes out while a face cannot be drawn, and how motion returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from talkcodec.bitstream import Reference
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.face import open_tracker
from talkcodec.media.sources import builtin_source
from talkcodec.modes import ModeConfig
from talkcodec.types import U8, Frame, Packet

GREY = np.full((256, 256, 3), 120, np.uint8)


@cache
def portrait() -> tuple[Frame, ...]:
    return tuple(builtin_source(2.0))


def pictures(count: int, begin: int = 0) -> list[U8]:
    frames = portrait()
    return [frames[(begin + i) % len(frames)].picture for i in range(count)]


@dataclass
class Sent:
    """What an encoder made of pictures, by frame."""

    modes: list[str] = field(default_factory=list)
    packets: list[list[Packet]] = field(default_factory=list)

    def kinds(self, begin: int, end: int) -> set[str]:
        return {packet.kind for group in self.packets[begin:end] for packet in group}

    def first(self, mode: str, begin: int) -> int:
        return self.modes.index(mode, begin)


def send(shown: Iterable[U8], modes: ModeConfig | None, *, deliver: bool = True) -> Sent:
    """Encode ``shown`` at 25 frames a second; references are acknowledged with the next frame."""
    rate = 1 / portrait()[0].time_base
    encoder = Encoder(EncoderConfig(tick_rate=rate, acknowledged=True, modes=modes), open_tracker())
    sent = Sent()
    waiting: list[int] = []
    for tick, picture in enumerate(shown):
        for sequence in waiting:
            encoder.acknowledge(sequence)
        packets = encoder.encode(Frame(picture, tick, 1 / rate))
        found = [Reference.parse(p.data).sequence for p in packets if p.kind == "reference"]
        waiting = found if deliver or not sent.kinds(0, tick) & {"reference"} else []
        sent.modes.append(encoder.mode)
        sent.packets.append(packets)
    return sent


def test_nobody_there_ends_motion_within_300_ms_and_a_fresh_key_brings_it_back() -> None:
    sent = send([*pictures(30), *[GREY] * 10, *pictures(45, 10)], ModeConfig())
    gone, away = 30, sent.first("video", 0)
    assert gone <= away <= gone + 7
    back = sent.first("motion", away)
    assert back >= 40
    # A group that was under way when the face went is finished; then nothing but the new key.
    assert sent.kinds(gone + 1, back) == {"reference"}
    keys = [p for group in sent.packets[away + 1 : back] for p in group]
    assert [Reference.parse(packet.data).key for packet in keys] == [True]
    assert Reference.parse(keys[0].data).identity is not None
    # The middle frame of a group decides, and its last one completes it.
    assert "motion" in sent.kinds(back, back + 2)
    assert set(sent.modes[back:]) == {"motion"}


def test_motion_waits_for_the_key() -> None:
    sent = send([*pictures(25), *[GREY] * 10, *pictures(35, 10)], ModeConfig(), deliver=False)
    away = sent.first("video", 0)
    assert "reference" in sent.kinds(away, len(sent.modes))
    assert set(sent.modes[away:]) == {"video"}
    assert "motion" not in sent.kinds(away + 1, len(sent.modes))


def test_without_video_to_show_there_is_one_mode() -> None:
    sent = send([*pictures(30), *[GREY] * 12, *pictures(12)], None)
    assert set(sent.modes) == {"motion"}
    assert "motion" in sent.kinds(42, 54)


def test_reason_and_confidence_come_with_the_mode() -> None:
    encoder = Encoder(EncoderConfig(modes=ModeConfig()), open_tracker())
    assert (encoder.mode, encoder.reason, encoder.low_confidence) == ("motion", "none", False)
    for tick in range(8):
        assert encoder.encode(Frame(GREY, tick, portrait()[0].time_base)) == []
    assert (encoder.mode, encoder.reason, encoder.low_confidence) == ("video", "no_face", True)
