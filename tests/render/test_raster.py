# SPDX-License-Identifier: Apache-2.0
"""Painting all triangles at once gives what painting one after the other gives."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from talkcodec.render import raster
from talkcodec.render.raster import paint
from talkcodec.types import F64, I32

SIDE = 48


def triangles(count: int, reach: float, seed: int = 0) -> tuple[F64, F64]:
    """Return triangles of up to ``reach`` pixels, all wound clockwise."""
    random = np.random.default_rng(seed)
    middle = random.uniform(-4, SIDE + 4, (2, 1, count))
    x, y = middle + random.uniform(-reach, reach, (2, 3, count))
    turned = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0]) < 0
    for at in (x, y):
        at[1:, turned] = at[:0:-1, turned]
    return x, y


def colours(count: int) -> I32:
    return np.arange(count, dtype=np.int32)[::-1].copy()


def margins(x: F64, y: F64, column: F64, row: F64) -> F64:
    """Return how far pixels are within the nearest edge of a triangle, along the steeper axis."""
    out = np.full(row.shape, np.inf)
    for i in range(3):
        dx, dy = x[(i + 1) % 3] - x[i], y[(i + 1) % 3] - y[i]
        inside = dx * (row - y[i]) - dy * (column - x[i])
        out = np.minimum(out, inside / max(abs(dx), abs(dy)))
    return out


@pytest.mark.parametrize("reach", [0.4, 3.0, 30.0])
def test_each_pixel_has_the_last_triangle_within_half_a_pixel(reach: float) -> None:
    x, y = triangles(60, reach)
    column, row = np.meshgrid(np.arange(SIDE, dtype=float), np.arange(SIDE, dtype=float))
    surely, perhaps = (np.full((SIDE, SIDE), -1) for _ in range(2))
    for index in range(60):
        far = margins(x[:, index], y[:, index], column, row)
        surely[far > 0] = index
        perhaps[far >= -0.5 - 1e-9] = index
    found = paint(x, y, colours(60), SIDE)
    place = np.where(found < 0, -1, 59 - found)  # of its triangle in the order
    assert (place >= surely).all()
    assert (place <= perhaps).all()
    assert (place >= 0).any()


def test_opencv_fills_nearly_the_same_pixels() -> None:
    x, y = triangles(40, 12.0)
    wanted = np.full((SIDE, SIDE), -1, np.int32)
    for index, colour in enumerate(colours(40).tolist()):
        corners = np.rint(np.stack([x[:, index], y[:, index]], 1) * 16).astype(np.int32)
        cv2.fillConvexPoly(wanted, corners, colour, cv2.LINE_8, 4)
    found = paint(x, y, colours(40), SIDE)
    assert (found == wanted).mean() > 0.93
    assert ((found < 0) == (wanted < 0)).mean() > 0.97


def test_no_pixel_between_triangles_is_left_to_none() -> None:
    """Of a net of squares, each cut in two."""
    at = np.linspace(3.3, 44.1, 14)
    x, y = (a.ravel() for a in np.meshgrid(at, at + 0.2))
    corner = (np.arange(13)[:, None] * 14 + np.arange(13)).ravel()
    net = np.concatenate(
        [[corner, corner + 1, corner + 15], [corner, corner + 15, corner + 14]], axis=1
    )
    found = paint(x[net], y[net], np.arange(net.shape[1], dtype=np.int32), SIDE)
    assert (found[4:44, 4:44] >= 0).all()


def test_portions_change_nothing_and_bound_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = triangles(400, 4000.0)
    tracemalloc.start()
    found = paint(x, y, colours(400), SIDE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6
    monkeypatch.setattr(raster, "_AT_ONCE", 500)
    assert np.array_equal(paint(x, y, colours(400), SIDE), found)


def test_nothing_in_sight_paints_nothing() -> None:
    x, y = triangles(5, 3.0)
    assert (paint(x + 1e7, y, colours(5), SIDE) == -1).all()
    assert (paint(x[:, :0], y[:, :0], colours(0), SIDE) == -1).all()
