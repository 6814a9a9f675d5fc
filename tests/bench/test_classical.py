# SPDX-License-Identifier: Apache-2.0
"""Each classical encoder on a tiny clip."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from talkcodec.bench.codecs import NAMES, OFFLINE_NAMES, Mode, classical
from talkcodec.errors import InputError
from talkcodec.metrics.picture import psnr
from talkcodec.types import U8

FPS = Fraction(25)


def moving(frames: int = 12, side: int = 64) -> list[U8]:
    """A soft blob that wanders over a gradient."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    pictures = []
    for index in range(frames):
        blob = 120 * np.exp(-((x - 8 - 4 * index) ** 2 + (y - 32) ** 2) / 80)
        planes = [blob + x, blob + y, np.full_like(x, 60.0) + blob / 2]
        pictures.append(np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8))
    return pictures


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "call") for name in NAMES), *((name, "offline") for name in OFFLINE_NAMES)],
)
def test_frames_come_back_in_order_and_better_points_cost_more(
    name: str, mode: Mode, capfd: pytest.CaptureFixture[str]
) -> None:
    codec, pictures = classical(name, mode), moving()
    cheap = codec.encode_decode(pictures, FPS, codec.points[0])
    good = codec.encode_decode(pictures, FPS, codec.points[-1])
    assert capfd.readouterr().err == ""
    assert sum(cheap.packets) < sum(good.packets)
    assert len(good.frames) == len(pictures)
    errors = [[psnr(a, b) for b in good.frames] for a in pictures]
    assert np.argmax(errors, axis=1).tolist() == list(range(len(pictures)))
    assert min(errors[i][i] for i in range(len(pictures))) > 28
    assert np.mean([psnr(a, b) for a, b in zip(pictures, cheap.frames, strict=True)]) < 40
    if mode == "call":
        assert len(good.packets) == len(pictures)
        assert good.packets[0] == max(good.packets)


def test_settings_name_everything_that_matters() -> None:
    codec = classical("av1")
    assert codec.settings(70) != codec.settings(63)
    assert "crf=70:pred-struct=1:keyint=-1" in codec.settings(70)
    assert classical("x264").settings(30) != classical("x264", "offline").settings(30)


def test_a_rate_controlled_encoder_holds_its_rate() -> None:
    codec, pictures = classical("x264-abr"), moving(75)
    for point in (8, 27):
        packets = codec.encode_decode(pictures, FPS, point).packets
        assert sum(packets) * 8 / 1000 / 3 < 1.3 * point


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(InputError, match="found 'mpeg2'"):
        classical("mpeg2")


def test_x264s_visiting_card_is_gone() -> None:
    codec = classical("x264")
    assert codec.encode_decode(moving(2), FPS, 51).packets[0] < 300
