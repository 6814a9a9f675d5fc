# SPDX-License-Identifier: Apache-2.0
"""What a coarse still-picture code takes from a face, put back: a residual network.

It runs once for every reference picture, not for every frame, so it may cost what no frame could.
Everything happens at half the resolution in four times the channels: the detail that a quantiser
of AV1 takes away is two pixels wide and wider.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import PlainResidual

#: Side of the pictures that the exported network takes, pixels; larger ones go through in tiles.
SIDE = 256


class RestorerNet(nn.Module):
    """``forward``: pictures (B, 3, H, W) in 0–255 RGB, H and W even → the same, in 0–255."""

    def __init__(self, *, width: int = 24, blocks: int = 4) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"width": width, "blocks": blocks}
        self.head = nn.Conv2d(12, width, 3, padding=1)
        self.body = nn.Sequential(*(PlainResidual(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, 12, 3, padding=1)
        # After the shuffle neighbours come from different channels: this evens them out.
        self.smooth = nn.Conv2d(3, 3, 3, padding=1)
        for layer in (self.tail, self.smooth):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.tail.weight, std=1e-3)
        nn.init.dirac_(self.smooth.weight)

    def forward(self, picture: Tensor) -> Tensor:
        x = picture.float() * (1 / 127.5) - 1
        features = self.head(nn.functional.pixel_unshuffle(x, 2))
        change = nn.functional.pixel_shuffle(self.tail(features + self.body(features)), 2)
        out: Tensor = (x + self.smooth(change) + 1) * 127.5
        return out

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {"picture": torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("restored",)
