# SPDX-License-Identifier: Apache-2.0
"""Sampling from the finer copy draws what a bicubic kernel draws from the picture itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcodec.media.sources import portrait_picture
from talkcodec.render.field import pixel_grid, sampled
from talkcodec.render.resample import enlarged, resample
from talkcodec.types import CANVAS, F32, U8


def exact(picture: U8, flow: F32) -> U8:
    side = picture.shape[0]
    at = cv2.resize(flow, (side, side), interpolation=cv2.INTER_LINEAR) * (side / CANVAS)
    return sampled(picture, (at + pixel_grid(side)).astype(np.float32), cv2.INTER_CUBIC)


def detail(picture: U8) -> float:
    """Return the mean steepness of a picture."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)).mean())


def wavy(reach: float) -> F32:
    random = np.random.default_rng(2)
    coarse = random.uniform(-reach, reach, (4, 4, 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_CUBIC), np.float32)


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("reach", [0.0, 1.0, 12.0])
def test_it_draws_what_a_bicubic_kernel_draws(side: int, reach: float) -> None:
    picture, flow = portrait_picture(side), wavy(reach)
    found, wanted = resample(enlarged(picture), flow), exact(picture, flow)
    assert found.shape == picture.shape
    assert np.abs(found.astype(int) - wanted).mean() < 0.5
    assert cv2.PSNR(found, wanted) > 46
    assert detail(found) == pytest.approx(detail(wanted), rel=0.025)


def test_flat_colours_stay_and_edges_reach_on() -> None:
    picture = np.full((256, 256, 3), (10, 128, 250), np.uint8)
    found = resample(enlarged(picture), wavy(40.0))
    assert np.array_equal(found, picture)


def test_every_second_pixel_of_the_copy_lies_on_one_of_the_picture() -> None:
    smooth = np.asarray(cv2.GaussianBlur(portrait_picture(256), (0, 0), 3), np.uint8)
    fine = enlarged(smooth)
    assert fine.shape == (511, 511, 4)
    assert np.abs(fine[::2, ::2, :3].astype(int) - smooth).max() <= 2


def test_a_box_is_a_part_of_the_whole() -> None:
    fine, flow, box = enlarged(portrait_picture(256)), wavy(6.0), np.s_[40:90, 100:180]
    assert np.array_equal(resample(fine, flow, box), resample(fine, flow)[box])
