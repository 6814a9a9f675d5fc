# SPDX-License-Identifier: Apache-2.0
"""Judging a group when it is on its way, as a call does."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from talkcodec.analysis import Analyst, Choice, Sample
from talkcodec.bitstream import Reference
from talkcodec.bitstream.motion import parse_group_header
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.motion.landmarks import LEFT_EYE, RIGHT_EYE
from talkcodec.reference.policy import RefreshConfig
from talkcodec.types import F64, Frame
from tests.test_encoder_decoder import (
    RATE,
    KnownFace,
    frames,
    landmarks_at,
    noise_at,
    picture_at,
)

#: Kind and bytes of the packets that went out with each frame.
Made = list[list[tuple[str, bytes]]]


def packets_of(*, judge: bool, busy: bool = False) -> Made:
    """Return what goes out with each frame of a face that changes all over, by kind."""
    rich = RefreshConfig(rate=1e7, burst=1e7)
    config = EncoderConfig(startup=0.0, acknowledged=True, refresh=rich)
    encoder = Encoder(config, KnownFace([landmarks_at(i) for i in range(60)]))
    out: Made = []
    for index in range(60):
        picture = picture_at(index) if index < 20 else noise_at(0)
        packets = encoder.encode(Frame(picture, index, 1 / RATE), judge=judge)
        if not judge:
            packets += encoder.reflect(busy=busy)
        for packet in packets:
            if packet.kind == "reference":
                encoder.acknowledge(Reference.parse(packet.data).sequence)
        out.append([(packet.kind, packet.data) for packet in packets])
    return out


def test_a_group_need_not_wait_until_it_is_judged() -> None:
    at_once, later = packets_of(judge=True), packets_of(judge=False)

    def kinds(packets: Made, kind: str) -> list[int]:
        return [i for i, some in enumerate(packets) if kind in [k for k, _ in some]]

    assert len(kinds(at_once, "reference")) >= 2
    assert kinds(at_once, "reference") == kinds(later, "reference")
    assert kinds(at_once, "motion") == kinds(later, "motion")
    first = kinds(later, "reference")[1]
    assert [kind for kind, _ in later[first]] == ["motion", "reference"]
    assert [kind for kind, _ in at_once[first]] == ["reference", "motion"]


def test_without_time_to_judge_only_what_was_asked_for_is_sent() -> None:
    hurried = packets_of(judge=False, busy=True)
    assert [kind for some in hurried for kind, _ in some].count("reference") == 1
    landmarks: list[F64 | None] = [landmarks_at(i) for i in range(9)]
    encoder = Encoder(EncoderConfig(startup=0.0, acknowledged=True), KnownFace(landmarks))
    pictures = list(frames(9))
    for frame in pictures[:2]:
        encoder.encode(frame, judge=False)
    encoder.request_reference()
    assert encoder.reflect(busy=True) == []  # there is no group yet
    encoder.acknowledge(0)
    for frame in pictures[2:]:
        encoder.encode(frame, judge=False)
    (asked,) = encoder.reflect(busy=True)
    assert Reference.parse(asked.data).key
    assert encoder.reflect() == []  # each group once


def test_frames_do_not_wait_for_a_reference_that_is_being_coded() -> None:
    with ThreadPoolExecutor(1) as background:
        landmarks: list[F64 | None] = [landmarks_at(i) for i in range(12)]
        config = EncoderConfig(startup=0.0, acknowledged=True)
        encoder = Encoder(config, KnownFace(landmarks), background=background)
        pictures = list(frames(12))
        (first, *_) = encoder.encode(pictures[0], judge=False)
        assert first.kind == "reference"  # there is nothing to show without it
        encoder.acknowledge(0)
        encoder.request_reference()
        held = threading.Event()
        background.submit(held.wait, 10)
        made = []
        for frame in pictures[1:9]:
            made += encoder.encode(frame, judge=False)
            assert encoder.reflect() == []
        assert [packet.kind for packet in made] == ["motion"] * 3
        assert all(parse_group_header(packet.data).reference == 0 for packet in made)
        held.set()
        background.submit(int).result()  # what was asked for before is done
        encoder.encode(pictures[9], judge=False)
        (asked,) = encoder.reflect()
        assert (asked.kind, asked.tick) == ("reference", 2)  # of the group that was judged
        assert Reference.parse(asked.data).key


@pytest.mark.parametrize(("call", "expected"), [(True, [1, 4, 7]), (False, [2, 5, 8])])
def test_in_a_call_a_groups_middle_frame_decides(
    call: bool,  # noqa: FBT001
    expected: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    choose = Analyst.choose

    def noted(analyst: Analyst, sample: Sample, start: int, absent: Collection[int]) -> Choice:
        looked.append(sample.tick)
        return choose(analyst, sample, start, absent)

    monkeypatch.setattr(Analyst, "choose", noted)
    landmarks: list[F64 | None] = [landmarks_at(i) for i in range(9)]
    encoder = Encoder(EncoderConfig(startup=0.0, acknowledged=call), KnownFace(landmarks))
    for frame in frames(9):
        encoder.encode(frame, judge=False)
    assert looked == expected


def shut(landmarks: F64) -> F64:
    """Return ``landmarks`` with both eyes shut."""
    out = landmarks.copy()
    for eye in (LEFT_EYE, RIGHT_EYE):
        out[list(eye), 1] = landmarks[list(eye), 1].mean()
    return out


def test_a_call_begins_with_the_present_and_a_file_with_its_beginning() -> None:
    first: dict[bool, int] = {}
    for call in (True, False):
        landmarks: list[F64 | None] = [shut(landmarks_at(i)) for i in range(30)]
        encoder = Encoder(EncoderConfig(startup=0.4, acknowledged=call), KnownFace(landmarks))
        made = [packet for frame in frames(30) for packet in encoder.encode(frame)]
        first[call] = next(packet.tick for packet in made if packet.kind == "motion")
    # Patience with eyes that do not open ends after ten frames or so.
    assert first[False] == 0
    assert first[True] in {10, 11}


def tilted(landmarks: F64) -> F64:
    """Return ``landmarks`` of a head that leans to its side by 30 degrees, and 25 units away."""
    out, middle = landmarks.copy(), landmarks[:, :2].mean(0)
    turn = np.array(
        [[np.cos(np.pi / 6), np.sin(np.pi / 6)], [-np.sin(np.pi / 6), np.cos(np.pi / 6)]]
    )
    out[:, :2] = (landmarks[:, :2] - middle) @ turn + middle + (25, 0)
    return out


@pytest.mark.parametrize("leans", [False, True])
def test_a_torn_warp_is_mended_though_nothing_may_be_spent(*, leans: bool) -> None:
    still = landmarks_at(0)
    track = [still] * 9 + [tilted(still) if leans else still] * 15
    refresh = RefreshConfig(rate=0.0, burst=0.0, lost=math.inf)
    empty = EncoderConfig(startup=0.0, refresh=refresh)
    encoder = Encoder(empty, KnownFace(list(track)))
    sent = []
    for index in range(len(track)):
        # Wrong in both cases, and as much; only the tilt pulls it apart as well.
        picture = picture_at(0) if index < 9 else noise_at(0)
        sent += encoder.encode(Frame(picture, index, 1 / RATE))
    # Seen with the group that ends at tick 11; bought when it has lasted for 0.4 s.
    assert [packet.tick for packet in sent if packet.kind == "reference"] == [0, 23][: 1 + leans]
