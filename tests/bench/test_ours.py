# SPDX-License-Identifier: Apache-2.0
"""Our codec as a file and as a call: what differs is what a call costs."""

from __future__ import annotations

from fractions import Fraction

import pytest

pytest.importorskip("mediapipe")

from talkcodec.bench.ours import DEFAULT_POINT, OurCodec
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.media.sources import builtin_source
from talkcodec.types import U8, Frame, Packet

FPS = Fraction(25)


def face(seconds: float) -> list[U8]:
    return [frame.picture for frame in builtin_source(seconds, 256)]


def test_references_are_acknowledged_when_their_time_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[tuple[str, Fraction]] = []
    encode, acknowledge = Encoder.encode, Encoder.acknowledge

    def watch_encode(self: Encoder, frame: Frame) -> list[Packet]:
        now.append(frame.time)
        packets = encode(self, frame)
        events.extend(("sent", frame.time) for p in packets if p.kind == "reference")
        return packets

    def watch_acknowledge(self: Encoder, sequence: int) -> None:
        # Told before the frame of this moment is encoded: the first at or after the due time.
        events.append(("told", now[-1] + 1 / FPS))
        acknowledge(self, sequence)

    now: list[Fraction] = [Fraction(0)]
    monkeypatch.setattr(Encoder, "encode", watch_encode)
    monkeypatch.setattr(Encoder, "acknowledge", watch_acknowledge)
    codec = OurCodec(EncoderConfig(acknowledged=True), acknowledged_after=Fraction(3, 10))
    codec.encode_decode(face(1.6), FPS, DEFAULT_POINT)
    sent = [time for kind, time in events if kind == "sent"]
    told = [time for kind, time in events if kind == "told"]
    assert sent
    assert len(told) == sum(time + Fraction(3, 10) <= Fraction(39, 25) for time in sent)
    for begin, end in zip(sent, told, strict=False):
        assert Fraction(3, 10) <= end - begin < Fraction(3, 10) + 1 / FPS


def test_a_call_pays_for_redundancy() -> None:
    pictures = face(0.6)
    file = OurCodec().encode_decode(pictures, FPS, DEFAULT_POINT)
    call = OurCodec.call().encode_decode(pictures, FPS, DEFAULT_POINT)
    motion = [
        sum(s for s, kind in zip(run.packets, run.kinds, strict=True) if kind == "motion")
        for run in (file, call)
    ]
    assert motion[0] < motion[1]
    assert len(call.frames) == len(pictures)
    assert OurCodec().settings(DEFAULT_POINT) != OurCodec.call().settings(DEFAULT_POINT)
