# SPDX-License-Identifier: Apache-2.0
"""Cuts between scenes: a passage of training data must not jump from one to another.

A cut is a frame that differs from the one before far more than that one did from its own, and
whose colours differ as well. A quick movement changes pixels but not the colours; a fade or a
lamp changes both, but slowly.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.types import F32, U8

#: Least mean difference of two thumbnails at a cut, in 8-bit steps.
DIFFERENCE = 18.0
#: How many times the difference before it a cut's is.
RISE = 3.0
#: Colour histograms of two scenes have no more than this in common, 0 to 1.
COMMON = 0.75

_SIZE = (48, 32)
_BINS = 8


class CutFinder:
    """Tells the first frame of every scene; fed with the frames in their order."""

    def __init__(self) -> None:
        self._small: F32 | None = None
        self._colours: F32 | None = None
        self._change = 0.0

    def step(self, picture: U8) -> bool:
        """Return whether ``picture``, uint8 (H, W, 3) RGB, begins a scene; the first does not."""
        thumbnail = cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA)
        small = np.asarray(thumbnail, np.float32)
        counts = cv2.calcHist([thumbnail], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3)
        # Neighbouring bins share, so that a little more light does not look like other colours.
        soft = cv2.GaussianBlur(counts.reshape(_BINS, _BINS * _BINS), (3, 3), 0)
        colours = np.asarray(soft / soft.sum(), np.float32).ravel()
        cut = False
        if self._small is not None and self._colours is not None:
            change = float(np.abs(small - self._small).mean())
            common = float(np.minimum(colours, self._colours).sum())
            cut = change > max(DIFFERENCE, RISE * self._change) and common < COMMON
            # What differs at a cut says nothing about how lively the new scene is.
            self._change = 0.0 if cut else change
        self._small, self._colours = small, colours
        return cut
