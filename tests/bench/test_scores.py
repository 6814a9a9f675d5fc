# SPDX-License-Identifier: Apache-2.0
"""Scores are found again exactly when the pictures are the same."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcodec.bench.scores import ScoreCache
from talkcodec.bench.source import Source
from talkcodec.metrics import Clip, Suite, open_metrics
from talkcodec.types import U8


def pictures(shift: int) -> list[U8]:
    ramp = np.arange(32 * 32 * 3, dtype=np.int64).reshape(32, 32, 3)
    return [((ramp * 7 + shift * index) % 256).astype(np.uint8) for index in range(6)]


def cache(folder: Path, suite: Suite, every: int = 2) -> ScoreCache:
    return ScoreCache(suite, Source("ramp", Clip(pictures(0), Fraction(25))), every, folder)


def test_a_second_run_scores_nothing_and_says_the_same(tmp_path: Path) -> None:
    suite, idle = open_metrics(["psnr", "ssim"]), open_metrics(["psnr", "ssim"])
    first = cache(tmp_path, suite).score(pictures(3))
    assert set(first) == {"psnr", "ssim"}
    assert len(first["psnr"]) == 3
    again = cache(tmp_path, idle).score(pictures(3))
    assert idle.milliseconds() == {}
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)


def test_other_pictures_metrics_or_steps_are_scored_anew(tmp_path: Path) -> None:
    suite = open_metrics(["psnr", "ssim"])
    first = cache(tmp_path, suite).score(pictures(3))
    other = cache(tmp_path, suite).score(pictures(4))
    assert not np.array_equal(first["ssim"], other["ssim"])
    assert set(cache(tmp_path, suite).score(pictures(3), ["psnr"])) == {"psnr"}
    assert len(cache(tmp_path, suite, every=3).score(pictures(3))["psnr"]) == 2
    assert len(list(tmp_path.rglob("*.json"))) == 4


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    suite = open_metrics(["psnr"])
    first = cache(tmp_path, suite).score(pictures(3))
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    assert np.array_equal(cache(tmp_path, suite).score(pictures(3))["psnr"], first["psnr"])
    assert path.read_text() != "{"
