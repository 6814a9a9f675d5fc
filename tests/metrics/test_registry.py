# SPDX-License-Identifier: Apache-2.0
"""Opening metrics, sampling frames, and saying why one is absent."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.metrics import Clip, open_metrics


def ramp(frames: int, offset: int = 0) -> Clip:
    return Clip(
        [np.full((16, 16, 3), 3 * i + offset, np.uint8) for i in range(frames)], Fraction(25)
    )


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="found 'beauty'"):
        open_metrics(["beauty"])


@pytest.mark.needs("torch", "mediapipe")
def test_a_metric_without_weights_is_absent_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TALKCODEC_CACHE", str(tmp_path))
    suite = open_metrics(["psnr", "identity"])
    assert [metric.name for metric in suite.metrics] == ["psnr"]
    assert "talkcodec.metrics.fetch" in suite.absent["identity"]


def test_one_frame_in_so_many_is_scored() -> None:
    scorer = open_metrics(["psnr", "ssim"]).against(ramp(10), every=4)
    scores = scorer.score(ramp(10, offset=5))
    assert {name: len(values) for name, values in scores.items()} == {"psnr": 3, "ssim": 3}
    assert scores["psnr"] == pytest.approx([34.1514] * 3, abs=1e-3)


def test_other_lengths_and_sizes_are_refused() -> None:
    scorer = open_metrics(["psnr"]).against(ramp(4))
    with pytest.raises(ValueError, match="expected 4 frames, found 3"):
        scorer.score(ramp(3))
    large = Clip([np.zeros((32, 16, 3), np.uint8)] * 4, Fraction(25))
    with pytest.raises(ValueError, match="expected frames of"):
        scorer.score(large)
    with pytest.raises(ValueError, match="at least one frame"):
        Clip([], Fraction(25))
    with pytest.raises(ValueError, match="at frame 1"):
        Clip([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)], Fraction(25))


def test_timings_count_scored_frames() -> None:
    suite = open_metrics(["psnr"])
    suite.against(ramp(10), every=5).score(ramp(10))
    spent = suite.milliseconds()
    assert list(spent) == ["psnr"]
    assert 0 < spent["psnr"] < 1000
