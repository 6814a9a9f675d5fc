# SPDX-License-Identifier: Apache-2.0
"""Frames at jittered times on ticks much finer than they are: what is in seconds stays so."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import numpy as np

from talkcodec.analysis import CALL_RESEND, LayerConfig
from talkcodec.bitstream import parse_group_header
from talkcodec.encoder import MAX_PAUSE, Encoder, EncoderConfig
from talkcodec.media.timing import tick_rate
from talkcodec.scene import LAYER_LIFE
from talkcodec.types import Frame
from tests.test_encoder_decoder import KnownFace, decode, landmarks_at, picture_at

MS = Fraction(1, 1000)


def coded(stamps: list[int], rate: Fraction) -> tuple[list[int], list[int], int]:
    """Encode frames at ``stamps`` in ms; return frames a packet, ticks, and how many it dropped."""
    face = KnownFace([landmarks_at(i) for i in range(len(stamps))])
    encoder = Encoder(EncoderConfig(tick_rate=rate, startup=0.0), face)
    packets = [encoder.header()]
    for index, stamp in enumerate(stamps):
        packets += encoder.encode(Frame(picture_at(index), stamp, MS))
    packets += encoder.flush()
    counts = [parse_group_header(p.data).count for p in packets if p.kind == "motion"]
    return counts, [state.tick for state in decode(packets)], encoder.dropped


def test_packets_of_a_slow_camera_hold_whole_groups() -> None:
    gaps = np.random.default_rng(1).choice([66, 67, 100, 80, 75], 23).tolist()
    stamps = list(accumulate([0, *gaps]))
    rate = tick_rate([stamp * MS for stamp in stamps], Fraction(1000), Fraction(1000))
    assert rate > 100
    counts, ticks, dropped = coded(stamps, rate)
    assert counts == [3] * 8
    assert ticks == [round(stamp * MS * rate) for stamp in stamps]
    assert dropped == 0


def test_a_pause_ends_a_group_on_any_ticks() -> None:
    late = round((MAX_PAUSE + 0.04) * 1000)
    stamps = [0, 40, 80, 120, 160, 160 + late, 200 + late, 240 + late]
    for rate in (Fraction(25), Fraction(100), Fraction(1000)):
        assert coded(stamps, rate)[0] == [3, 2, 3], rate


def test_frames_that_share_a_tick_are_counted() -> None:
    counts, ticks, dropped = coded([0, 10, 40, 45, 80, 120], Fraction(25))
    assert ticks == [0, 1, 2, 3]
    assert sum(counts) == 4
    assert dropped == 2


def test_layers_are_sent_again_in_time() -> None:
    for rate, ticks in ((25, 8), (100, 32), (1000, LAYER_LIFE), (1, 1)):
        assert LayerConfig().in_call(Fraction(rate)).resend == ticks
    assert CALL_RESEND * 25 == 8
