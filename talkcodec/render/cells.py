# SPDX-License-Identifier: Apache-2.0
"""Pictures as cells: every 2 × 2 pixels at one place, their channels by row, column and channel.

So networks at half resolution take them and answer. Two pixels beside each other stay beside each
other: NumPy moves them at once, many times as quickly as a network moves numbers.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def to_cells(picture: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the cells (H / 2, W / 2, 4 C) of ``picture`` (H, W, C)."""
    height, width, count = picture.shape
    half = height // 2, width // 2
    pairs = _whole(np.ascontiguousarray(picture).reshape(half[0], 2, half[1], 2 * count))
    return _exchanged(pairs, picture.dtype).reshape(*half, 4 * count)


def from_cells(cells: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the picture (2 h, 2 w, C) of ``cells`` (h, w, 4 C)."""
    height, width, count = cells.shape
    pairs = _whole(np.ascontiguousarray(cells).reshape(height, width, 2, count // 2))
    return _exchanged(pairs, cells.dtype).reshape(2 * height, 2 * width, count // 4)


def planes(picture: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return ``picture`` (H, W, C) as networks are given it: (C, H, W), in the same memory."""
    return picture.transpose(2, 0, 1)


def pixels(planes: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return ``planes`` (C, H, W) as a picture (H, W, C), in the same memory."""
    return planes.transpose(1, 2, 0)


def _whole(runs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the runs of numbers along the last axis as one element each."""
    return runs.view(f"V{runs.shape[-1] * runs.itemsize}")[..., 0]


def _exchanged(pairs: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).view(dtype)
