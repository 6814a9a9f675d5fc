# SPDX-License-Identifier: Apache-2.0
"""Over to ordinary video and back, frame by frame."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from sender.fallback import Fallback, FallbackConfig, VideoPicture
from talkcodec.bitstream.control import ModeChange
from talkcodec.media.vp8 import Vp8Encoder
from talkcodec.rtc.videorate import VideoPlan
from talkcodec.types import U8, Packet

RATE = Fraction(25)


def picture(tick: int) -> U8:
    ramp = np.arange(64, dtype=np.uint8)
    return np.repeat(np.add.outer(ramp, ramp + tick)[..., None], 3, axis=2).astype(np.uint8)


def motion(tick: int) -> Packet:
    return Packet("motion", b"\x80", tick)


REFERENCE = Packet("reference", b"\x02", 0)


def step(
    fallback: Fallback, packets: list[Packet], tick: int, *, key: bool = False
) -> tuple[list[Packet], VideoPicture | None]:
    return fallback.step(packets, lambda: picture(tick), tick, key=key)


def test_motion_goes_out_and_no_picture_is_made() -> None:
    fallback = Fallback(FallbackConfig(), RATE)
    packets = [REFERENCE, motion(0)]
    assert fallback.step(packets, lambda: pytest.fail("asked"), 0, key=False) == (packets, None)


def test_video_begins_with_the_very_next_frame_and_ends_the_motion() -> None:
    fallback = Fallback(FallbackConfig(), RATE)
    step(fallback, [motion(0)], 0)
    fallback.wanted = "video"
    assert fallback.leaving_motion
    packets, made = step(fallback, [REFERENCE, motion(1)], 1)
    assert packets == [REFERENCE]
    assert made is not None
    assert made.tick == 1
    assert fallback.change() == ModeChange("video", 1)
    # A connection that is made later begins with another picture.
    step(fallback, [], 9)
    assert fallback.change() == ModeChange("video", 9)
    assert not fallback.leaving_motion


def test_video_goes_on_until_there_is_motion() -> None:
    fallback = Fallback(FallbackConfig(), RATE)
    fallback.wanted = "video"
    step(fallback, [], 0)
    fallback.wanted = "motion"
    packets, made = step(fallback, [REFERENCE], 1)
    assert (packets, made is None) == ([REFERENCE], False)
    packets, made = step(fallback, [motion(1)], 2)
    assert (packets, made) == ([motion(1)], None)
    assert fallback.change() == ModeChange("motion", 1)
    assert fallback.counts.switches == 2
    assert fallback.counts.pictures == 2


def decoded(data: list[bytes]) -> list[U8]:
    codec = av.CodecContext.create("libvpx", "r")
    frames = [frame for part in data for frame in codec.decode(av.Packet(part))]
    return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def is_key(data: bytes) -> bool:
    return not data[0] & 1  # RFC 6386 section 9.1


def test_key_pictures_come_first_when_asked_for_and_now_and_then() -> None:
    fallback = Fallback(FallbackConfig(refresh=0.4), RATE)
    fallback.wanted = "video"
    made = [step(fallback, [], tick, key=tick == 4)[1] for tick in range(20)]
    keys = [picture.tick for picture in made if picture is not None and is_key(picture.data)]
    assert keys == [0, 4, 14]
    shown = decoded([picture.data for picture in made if picture is not None])
    assert len(shown) == 20
    assert np.abs(shown[-1].astype(int) - picture(19)).mean() < 12


def test_a_camera_faster_than_the_ticks_gives_one_picture_a_tick() -> None:
    fallback = Fallback(FallbackConfig(), RATE)
    fallback.wanted = "video"
    ticks = enumerate([0, 1, 1, 1, 2])
    made = [step(fallback, [REFERENCE], tick, key=i == 3)[1] for i, tick in ticks]
    assert [None if picture is None else (picture.tick, picture.key) for picture in made] == [
        (0, True),
        (1, False),
        None,
        None,  # the key that was asked for here comes with the next picture
        (2, True),
    ]


def test_the_rate_is_kept_and_may_change() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    encoder = Vp8Encoder(120_000, RATE)
    sizes = [len(encoder.encode(noise[tick % 8])) for tick in range(100)]
    assert sum(sizes[50:]) * 8 / 2 < 1.3 * 120_000
    encoder.rate = 60_000
    after = [encoder.encode(noise[tick % 8]) for tick in range(100)]
    assert is_key(after[0])
    assert sum(map(len, after[50:])) * 8 / 2 < 1.3 * 60_000


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a rate of 10000 or more"):
        FallbackConfig(rate=10)


def test_a_plan_leaves_pictures_out_and_makes_them_smaller() -> None:
    fallback = Fallback(FallbackConfig(), RATE)
    fallback.plan = VideoPlan(20_000, 3, 32)
    fallback.wanted = "video"
    made = [step(fallback, [], tick, key=tick == 4)[1] for tick in range(10)]
    ticks = [picture.tick for picture in made if picture is not None]
    assert ticks == [0, 3, 4, 7]  # a key picture does not wait
    shown = decoded([picture.data for picture in made if picture is not None])
    assert {picture.shape for picture in shown} == {(32, 32, 3)}
    # Another rate begins with a key picture, which counts as one.
    fallback.plan = VideoPlan(40_000, 1, 64)
    _, picture = step(fallback, [], 10)
    assert picture is not None
    assert picture.key
    assert decoded([picture.data])[0].shape == (64, 64, 3)


def test_the_callers_limit_holds_whatever_is_planned() -> None:
    fallback = Fallback(FallbackConfig(), RATE)
    fallback.plan, fallback.limit = VideoPlan(90_000, 1, 256), 15_000
    fallback.wanted = "video"
    pictures = [made for tick in range(75) if (made := step(fallback, [], tick)[1]) is not None]
    size = sum(len(picture.data) for picture in pictures[25:])
    assert size * 8 / 2 < 1.3 * 15_000
