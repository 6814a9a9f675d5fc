# SPDX-License-Identifier: Apache-2.0
"""What the sender measures about its own result: leftover motion and visible error.

Both work on a small luma picture (``MEASURE_SIDE``²): precise enough to decide on, and cheap.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.render.field import pixel_grid, sampled
from talkcodec.types import CANVAS, F32, U8, Bool

MEASURE_SIDE = 128
_LAYER_SIDE = 32
_WINDOW = (7, 7)
#: Times its length that something is drawn from which on a picture counts as torn.
TORN = 3.0
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def small_luma(picture: U8) -> U8:
    """Return the luma of ``picture`` (S, S, 3) at ``MEASURE_SIDE``²: uint8."""
    size = (MEASURE_SIDE, MEASURE_SIDE)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def warp_luma(luma: U8, flow: F32) -> U8:
    """Sample ``luma`` (n, n) along ``flow`` (n, n, 2), given in canvas units."""
    side = luma.shape[0]
    at = flow * np.float32(side / CANVAS) + pixel_grid(side)
    return sampled(luma, at, cv2.INTER_LINEAR)


def error_map(picture: U8, truth: U8) -> F32:
    """Return 1 - SSIM (Wang et al. 2004, 7×7 box window) per pixel of two lumas: (n, n), 0 to 2."""
    a, b = picture.astype(np.float32), truth.astype(np.float32)
    mean_a, mean_b = cv2.blur(a, _WINDOW), cv2.blur(b, _WINDOW)
    var_a = np.maximum(cv2.blur(a * a, _WINDOW) - mean_a * mean_a, 0)
    var_b = np.maximum(cv2.blur(b * b, _WINDOW) - mean_b * mean_b, 0)
    cov = cv2.blur(a * b, _WINDOW) - mean_a * mean_b
    luma = (2 * mean_a * mean_b + _C1) / (mean_a * mean_a + mean_b * mean_b + _C1)
    return np.asarray(1 - luma * (2 * cov + _C2) / (var_a + var_b + _C2), np.float32)


def torn(flow: F32, behind: F32 | None = None) -> Bool:
    """Return where a backward ``flow`` (n, n, 2), canvas units, tears a picture: bool (n, n).

    There a stretch of the source is drawn more than ``TORN`` times as long as it is: ``kept``.
    ``behind``: float32 (n, n), where it is not what is drawn along (``talkcodec.render.matte``).
    """
    pulled = kept(flow) < 1 / TORN
    if behind is not None:
        pulled &= behind < 0.5
    return np.asarray(pulled, np.bool_)


def kept(flow: F32, rim: float = 6.0) -> F32:
    """Return which share of its length what is drawn had in the source: float32 (n, n).

    ``flow``: backward, (n, n, 2), canvas units. Where it stretches most, the share is the smaller
    singular value of the map's Jacobian. It is 0 where the map folds over, or reaches more than
    ``rim`` canvas units beyond the source, whose last pixels are drawn as bars.
    """
    side = flow.shape[0]
    unit = np.float32(side / CANVAS)
    x, y = flow[..., 0] * unit, flow[..., 1] * unit
    a, b, c, d = _twice(x, 1) + 2, _twice(x, 0), _twice(y, 1), _twice(y, 0) + 2
    # The singular values of [[a, b], [c, d]] are sum and difference; it folds where that is < 0.
    fourfold = cv2.magnitude(a + d, b - c) - cv2.magnitude(a - d, b + c)
    share = np.asarray(np.maximum(fourfold / 4, 0), np.float32)
    middle, most = np.float32(side / 2 - 0.5), (CANVAS / 2 + rim) * unit
    at = np.arange(side, dtype=np.float32) - middle
    across, down = np.abs(x + at[None, :]), np.abs(y + at[:, None])
    share[np.maximum(across, down) > most] = 0
    return share


def _twice(values: F32, axis: int) -> F32:
    """Return twice the ``numpy.gradient`` of ``values`` (n, n) along ``axis``, sooner than it."""
    slope = np.empty_like(values)
    before, after = values.swapaxes(0, axis), slope.swapaxes(0, axis)
    np.subtract(before[2:], before[:-2], out=after[1:-1])
    after[0], after[-1] = 2 * (before[1] - before[0]), 2 * (before[-1] - before[-2])
    return slope


class FlowMeter:
    """Measures the motion that a flow leaves over. Keeps OpenCV's buffers between calls."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._dis.setFinestScale(1)

    def residual(self, reference: U8, truth: U8, flow: F32) -> tuple[F32, F32]:
        """Return residual flow and its confidence on a coarse grid.

        ``reference``, ``truth``: lumas (n, n); ``flow``: (n, n, 2) from truth to reference,
        canvas units. Dense inverse search (Kroeger et al., ECCV 2016) starts from ``flow``.
        Returns float32 (32, 32, 2), canvas units, and float32 (32, 32) in 0 to 1.
        """
        scale = np.float32(truth.shape[0] / CANVAS)
        found = self._dis.calc(truth, reference, (flow * scale).copy())
        residual = found / scale - flow
        warped = warp_luma(reference, found / scale)
        mismatch = cv2.absdiff(warped, truth).astype(np.float32)
        gradient = np.abs(cv2.Sobel(truth, cv2.CV_32F, 1, 0)) + np.abs(
            cv2.Sobel(truth, cv2.CV_32F, 0, 1)
        )
        confidence = np.minimum(gradient / 48, 1) * np.exp(-mismatch / 16)
        size = (_LAYER_SIDE, _LAYER_SIDE)
        mass = cv2.resize(confidence, size, interpolation=cv2.INTER_AREA)
        total = cv2.resize(residual * confidence[..., None], size, interpolation=cv2.INTER_AREA)
        return (
            np.asarray(total / np.maximum(mass, 1e-4)[..., None], np.float32),
            np.asarray(mass, np.float32),
        )
