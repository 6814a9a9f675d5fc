# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from talkcodec.metrics import Clip, open_metrics
from talkcodec.metrics.picture import PSNR_CEILING, psnr, ssim
from talkcodec.types import U8


def test_psnr_of_a_known_error() -> None:
    grey = np.full((16, 16, 3), 100, np.uint8)
    # Every sample off by 5: 20 · log10(255 / 5).
    assert psnr(grey, grey + 5) == pytest.approx(34.1514, abs=1e-3)
    assert psnr(grey, grey) == PSNR_CEILING


def test_ssim_agrees_with_scikit_image(portrait: U8, worse: dict[str, list[Clip]]) -> None:
    other = worse["noise"][1].frames[0]
    luma = [p.astype(np.float64) @ [0.299, 0.587, 0.114] for p in (portrait, other)]
    expected = structural_similarity(  # type: ignore[no-untyped-call]
        *luma, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(portrait, other) == pytest.approx(expected, abs=1e-4)
    assert ssim(portrait, portrait) == pytest.approx(1)


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_worse_pictures_score_lower(portrait: U8, worse: dict[str, list[Clip]], name: str) -> None:
    scorer = open_metrics([name]).against(Clip([portrait], Fraction(25)))
    for clips in worse.values():
        values = [scorer.score(clip)[name][0] for clip in clips]
        assert values == sorted(values, reverse=True)
