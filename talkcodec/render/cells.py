# SPDX-License-Identifier: Apache-2.0
"""Pictures as cells: every 2 × 2 pixels at one place, their channels by row, column and channel.

So networks at half resolution take them and answer. OpenCV moves whole rows of pairs of pixels,
many times as quickly as a network moves numbers.
"""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound="np.integer[Any] | np.floating[Any]")


def to_cells(picture: npt.NDArray[T], *beside: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the cells (H / 2, W / 2, 4 C) of ``picture`` (H, W, C).

    ``beside``: (H / 2, W / 2, D), whose channels follow.
    """
    height, width, count = picture.shape
    rows = np.ascontiguousarray(picture).reshape(height // 2, 2, width // 2, 2 * count)
    return np.asarray(cv2.merge([rows[:, 0], rows[:, 1], *beside]), picture.dtype)


def from_cells(cells: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the picture (2 h, 2 w, C) of ``cells`` (h, w, 4 C), of numbers of 1 or 4 bytes."""
    height, width, count = cells.shape
    # Two numbers beside each other are moved as if they were one.
    wide: Any = np.uint16 if cells.itemsize == 1 else np.float64
    pairs = np.ascontiguousarray(cells).view(wide)
    rows = np.empty((height, 2, width, count // 4), pairs.dtype)
    same = np.arange(count // 2).repeat(2).tolist()
    cv2.mixChannels([pairs], [rows[:, 0], rows[:, 1]], same)
    return rows.view(cells.dtype).reshape(2 * height, 2 * width, count // 4)


def planes(picture: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return ``picture`` (H, W, C) as networks are given it: (C, H, W), in the same memory."""
    return picture.transpose(2, 0, 1)


def pixels(planes: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return ``planes`` (C, H, W) as a picture (H, W, C), in the same memory."""
    return planes.transpose(1, 2, 0)
