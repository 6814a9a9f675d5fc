# SPDX-License-Identifier: Apache-2.0
"""An exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """The average of ``source`` as a network of its own, in eval mode and without gradients.

    Running statistics of normalisation are averaged like weights, since they belong to them;
    counters are copied. The decay warms up as (1 + n) / (10 + n), so that the random weights of
    the start are soon forgotten.
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(source).eval().requires_grad_(requires_grad=False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, source: nn.Module) -> None:
        """Take one step towards ``source``."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine, theirs = [], []
        for own, other in zip(_tensors(self.network), _tensors(source), strict=True):
            if own.is_floating_point():
                mine.append(own)
                theirs.append(other.detach())
            else:
                own.copy_(other)
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        self.updates += 1


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
