# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM: cheap, known to everyone, and blind to most of what people see."""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.metrics.base import Clip, Column, Scores, check_pair
from talkcodec.types import F32, F64, U8

#: What PSNR returns for identical pictures, so that means stay finite.
PSNR_CEILING = 100.0

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr(a: U8, b: U8) -> float:
    """Peak signal-to-noise ratio of RGB pictures in dB, at most :data:`PSNR_CEILING`."""
    error = float(np.mean(np.square(a.astype(np.float32) - b.astype(np.float32))))
    if error == 0:
        return PSNR_CEILING
    return min(PSNR_CEILING, 10 * float(np.log10(255.0**2 / error)))


def ssim_map(a: F32, b: F32) -> F32:
    """SSIM (Wang et al. 2004) of luma planes in 0 to 255, without the window's border."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def blur(x: F32) -> F32:
        # The 11 × 11 Gaussian window of the paper; only positions where it fits are kept.
        return cv2.GaussianBlur(x, (11, 11), 1.5)[5:-5, 5:-5].astype(np.float32, copy=False)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    contrast = (2 * covariance + c2) / (var_a + var_b + c2)
    return (luminance * contrast).astype(np.float32)


def ssim(a: U8, b: U8) -> float:
    """Structural similarity of the luma of two RGB pictures (at least 11 pixels a side)."""
    return float(ssim_map(a.astype(np.float32) @ _LUMA, b.astype(np.float32) @ _LUMA).mean())


class _PictureScorer:
    def __init__(self, metric: Psnr | Ssim, source: Clip) -> None:
        self._metric = metric
        self._source = source

    def score(self, output: Clip) -> Scores:
        check_pair(self._source, output)
        pairs = zip(self._source.frames, output.frames, strict=True)
        values: F64 = np.array([self._metric.pair(a, b) for a, b in pairs])
        return {self._metric.name: values}


class Psnr:
    """PSNR of every frame; the clip's figure is the mean over frames, in dB."""

    name = "psnr"
    columns = (Column("psnr", "dB", lower_is_better=False),)
    whole = False
    pair = staticmethod(psnr)

    def against(self, source: Clip) -> _PictureScorer:
        return _PictureScorer(self, source)


class Ssim:
    """SSIM of every frame, up to 1."""

    name = "ssim"
    columns = (Column("ssim", "", lower_is_better=False),)
    whole = False
    pair = staticmethod(ssim)

    def against(self, source: Clip) -> _PictureScorer:
        return _PictureScorer(self, source)
