# SPDX-License-Identifier: Apache-2.0
"""Cells are the picture's own numbers, to NumPy and to torch alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from talkcodec.models import blocks
from talkcodec.render.cells import from_cells, planes, to_cells


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_pixels_are_where_they_should_be(dtype: type, count: int) -> None:
    picture: npt.NDArray[Any] = (
        np.random.default_rng(0).integers(0, 256, (10, 14, count)).astype(dtype)
    )
    cells = to_cells(picture)
    assert cells.shape == (5, 7, 4 * count)
    assert cells.dtype == dtype
    for row in range(2):
        for column in range(2):
            first = (2 * row + column) * count
            part = cells[..., first : first + count]
            assert np.array_equal(part, picture[row::2, column::2])
    assert np.array_equal(from_cells(cells), picture)


def test_what_lies_beside_a_picture_follows_its_cells() -> None:
    random = np.random.default_rng(1)
    picture = random.integers(0, 256, (12, 8, 3), np.uint8)
    beside = random.integers(0, 256, (6, 4, 5), np.uint8)
    both = to_cells(picture, beside)
    assert np.array_equal(both, np.concatenate([to_cells(picture), beside], 2))


def test_layouts_of_memory_do_not_matter() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 8, 3)).astype(np.uint8)
    turned = np.asfortranarray(picture)
    assert np.array_equal(to_cells(turned), to_cells(picture))
    assert np.array_equal(from_cells(np.asfortranarray(to_cells(picture))), picture)
    assert np.shares_memory(planes(picture), picture)


def test_torch_has_the_same_cells() -> None:
    picture = np.random.default_rng(0).normal(0, 1, (10, 14, 3)).astype(np.float32)
    batch = torch.from_numpy(planes(picture))[None]
    cells = blocks.to_cells(batch)
    assert np.array_equal(cells[0].numpy(), planes(to_cells(picture)))
    assert torch.equal(blocks.from_cells(cells), batch)


def test_a_kernel_for_what_is_unshuffled_serves_cells() -> None:
    draw = torch.Generator().manual_seed(0)
    picture, kernel = torch.randn(2, 3, 8, 6, generator=draw), torch.randn(5, 12, 3, 3)
    wanted = torch.nn.functional.conv2d(torch.nn.functional.pixel_unshuffle(picture, 2), kernel)
    found = torch.nn.functional.conv2d(blocks.to_cells(picture), blocks.for_cells(kernel))
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_convolution_may_be_computed_before_the_shuffle() -> None:
    conv = torch.nn.Conv2d(4, 3, 3, padding=1)
    picture = torch.randn(2, 16, 7, 9, generator=torch.Generator().manual_seed(0))
    wanted = conv(torch.nn.functional.pixel_shuffle(picture, 2))
    found = blocks.from_cells(blocks.shuffled_conv(picture, conv))
    assert torch.allclose(found, wanted, atol=1e-5)
