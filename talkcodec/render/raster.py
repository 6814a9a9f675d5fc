# SPDX-License-Identifier: Apache-2.0
"""Triangles onto a grid, one over the other, all at once.

A face has nine hundred of a few pixels each: calling a polygon filler takes longer than filling.
Here all rows of all triangles are found first, from where to where a triangle covers each, and then
all pixels of those.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from talkcodec.types import F64, I32

#: How far a triangle reaches beyond its edges, pixels along the axis that the edge runs across:
#: with that no pixel between triangles, or at a silhouette, is left to none.
_REACH = 0.5
#: Edges of which height are level: they bound no row.
_LEVEL = 1e-6
#: Most pixels that are painted at once: four faces. Whatever a stream says, memory is bounded.
_AT_ONCE = 1 << 16

_Indices = npt.NDArray[np.int64]


def paint(x: F64, y: F64, colours: I32, side: int) -> I32:
    """Return the colour of the last triangle at each pixel, or -1: int32 (side, side).

    ``x``, ``y``: (3, T), of the corners, pixel centres at whole numbers, wound clockwise as seen
    (y points down). ``colours``: (T,).
    """
    top, bottom = _cells(y, side)
    triangle, row = _runs(top, bottom - top)
    lines = np.take(_lines(x, y), triangle, axis=1)
    across = lines[:3] * row
    low, high = lines[3:6] + across, lines[6:] + across
    left, right = (np.take(ends, triangle) for ends in _cells(x, side))
    start = np.maximum(np.ceil(low.max(0)), left)
    end = np.minimum(np.floor(high.min(0)) + 1, right)
    count = np.maximum(end - start, 0).astype(np.int64)
    first, colour = row * side + start.astype(np.int64), np.take(colours, triangle)
    out = np.full(side * side, -1, np.int32)
    for some in _portions(count):
        span, place = _runs(first[some], count[some])
        out[place] = np.take(colour[some], span)  # of several at one place the last stays
    return out.reshape(side, side)


def _cells(at: F64, side: int) -> tuple[_Indices, _Indices]:
    """Return the first row or column that each triangle touches, and the one after its last."""
    least, most = np.rint(at.min(0)), np.rint(at.max(0)) + 1
    first = np.clip(least, 0, side).astype(np.int64)
    return first, np.maximum(np.clip(most, 0, side).astype(np.int64), first)


def _lines(x: F64, y: F64) -> F64:
    """Return where edges cross row 0 and by how much further each row on: (9, T).

    Three slopes, then where a row begins at the earliest by each edge, then where it ends.
    """
    after = [1, 2, 0]
    height = y[after] - y
    level = np.abs(height) < _LEVEL
    slope = np.where(level, 0, (x[after] - x) / np.where(level, 1, height))
    reach = _REACH * np.maximum(np.abs(slope), 1)
    at = x - y * slope
    # Clockwise, edges run down on the right and up on the left.
    low = np.where(level | (height > 0), -np.inf, at - reach)
    high = np.where(level | (height < 0), np.inf, at + reach)
    return np.concatenate([slope, low, high])


def _runs(first: _Indices, count: _Indices) -> tuple[_Indices, _Indices]:
    """Return ``count`` numbers from ``first`` on, of all one after the other, and whose each is."""
    ends = np.cumsum(count)
    whose = np.repeat(np.arange(len(count)), count)
    return whose, np.arange(len(whose)) + np.repeat(first - ends + count, count)


def _portions(count: _Indices) -> list[slice]:
    """Return parts of ``count``, in order, of about as many pixels as may be painted at once."""
    ends = np.cumsum(count)
    cuts = np.searchsorted(ends, np.arange(_AT_ONCE, int(count.sum()), _AT_ONCE)).tolist()
    return [slice(one, other) for one, other in pairwise([0, *cuts, len(count)])]
