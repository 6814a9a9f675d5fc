# SPDX-License-Identifier: Apache-2.0
"""Where the error lies: inside the face or in everything around it."""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.metrics.base import Clip, Column, Scores
from talkcodec.metrics.face import open_judge, track
from talkcodec.metrics.lpips import Lpips
from talkcodec.types import F32, Bool

_COLUMNS = ("lpips_face", "lpips_rest", "l1_face", "l1_rest")


def face_mask(landmarks: F32, height: int, width: int) -> Bool:
    """Return bool (H, W), true inside the convex hull of ``landmarks`` (478, 3)."""
    hull = cv2.convexHull(np.round(landmarks[:, :2]).astype(np.int32))
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, hull, 1)
    return mask.astype(np.bool_)


class Regions:
    """LPIPS split into what face and surroundings contribute, and mean |difference| in each.

    ``lpips_face`` + ``lpips_rest`` is about the picture's LPIPS; ``l1_*`` are means over the
    region's own pixels, 0 to 255. NaN in frames whose source shows no face.
    """

    name = "regions"
    columns = tuple(Column(name, "", lower_is_better=True) for name in _COLUMNS)
    whole = False

    def __init__(self) -> None:
        self._lpips = Lpips()
        self._tracker = open_judge()

    def against(self, source: Clip) -> RegionsScorer:
        return RegionsScorer(self._lpips, source, track(source, self._tracker))


class RegionsScorer:
    """Split scores against one source with known landmarks."""

    def __init__(self, lpips: Lpips, source: Clip, landmarks: list[F32 | None]) -> None:
        self._source = source
        self._lpips = lpips.against(source)
        height, width = source.frames[0].shape[:2]
        self._masks = [None if x is None else face_mask(x, height, width) for x in landmarks]

    def score(self, output: Clip) -> Scores:
        rows = np.full((len(output.frames), len(_COLUMNS)), np.nan)
        maps = self._lpips.maps(output)
        for index, (row, mask) in enumerate(zip(rows, self._masks, strict=True)):
            if mask is None or mask.all() or not mask.any():
                continue
            source = self._source.frames[index].astype(np.float32)
            difference = np.abs(source - output.frames[index])
            share = maps[index] / maps[index].size
            row[:] = (
                share[mask].sum(),
                share[~mask].sum(),
                difference[mask].mean(),
                difference[~mask].mean(),
            )
        return {name: rows[:, index] for index, name in enumerate(_COLUMNS)}
