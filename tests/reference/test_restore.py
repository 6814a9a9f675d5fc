# SPDX-License-Identifier: Apache-2.0
"""Restoring large pictures in tiles leaves no seams, and restoring touches pictures only."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.reference.restore import HALO, Restorer, tile_starts
from talkcodec.render.engine.signature import Array, Arrays
from talkcodec.types import U8

TILE = 64


class Blur:
    """An engine that looks as far around a pixel as a halo is wide, and no farther."""

    def __init__(self) -> None:
        self.inputs = {"picture": (1, 3, TILE, TILE)}
        self.runs = 0

    def run(self, inputs: Arrays) -> dict[str, Array]:
        self.runs += 1
        picture = inputs["picture"][0].transpose(1, 2, 0).astype(np.float32)
        size = 2 * HALO + 1
        found = cv2.blur(picture, (size, size), borderType=cv2.BORDER_REPLICATE)
        return {"restored": found.transpose(2, 0, 1)[None] * 1.2}


@pytest.fixture
def restorer() -> Restorer:
    out = Restorer.__new__(Restorer)
    out._engine, out._side = Blur(), TILE  # type: ignore[assignment]
    return out


def picture(side: int) -> U8:
    return np.random.default_rng(side).integers(0, 256, (side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("side", [TILE, 90, 2 * TILE, 200])
def test_tiles_give_what_the_whole_picture_would(restorer: Restorer, side: int) -> None:
    given_ = picture(side)
    size = 2 * HALO + 1
    whole = cv2.blur(given_.astype(np.float32), (size, size), borderType=cv2.BORDER_REPLICATE)
    expected = np.rint(np.clip(whole * 1.2, 0, 255))
    found = restorer(given_)
    assert found.shape == given_.shape
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1  # the order of sums


def test_a_picture_smaller_than_a_tile_stays_as_it_is(restorer: Restorer) -> None:
    small = picture(TILE - 2)
    assert restorer(small) is small


@given(st.integers(TILE + 1, 1024))
def test_tiles_cover_the_side_and_overlap_by_two_halos(side: int) -> None:
    starts = tile_starts(side, TILE)
    assert starts[0] == 0
    assert starts[-1] == side - TILE
    assert all(0 < b - a <= TILE - 2 * HALO for a, b in pairwise(starts))
