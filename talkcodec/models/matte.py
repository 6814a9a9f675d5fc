# SPDX-License-Identifier: Apache-2.0
"""Where the person is in a reference, and where what stays behind when a head moves.

It runs once for every reference. A U-Net (Ronneberger et al. 2015) of plain convolutions on a small
picture: hair against a wall is told by what surrounds it, not by fine detail.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import ConvUnit, Residual, double, picture_input

#: Side of the picture that the network sees, and of the matte, pixels.
SIDE, MATTE_SIDE = 128, 64


class MatteNet(nn.Module):
    """``forward``: pictures (B, 3, 128, 128) in 0–255 RGB → logits of the person (B, 1, 64, 64)."""

    def __init__(self, *, widths: tuple[int, int, int, int] = (16, 24, 48, 64)) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"widths": list(widths)}
        a, b, c, d = widths
        self.fine = nn.Sequential(ConvUnit(3, a, stride=2), ConvUnit(a, a))
        self.quarter = nn.Sequential(ConvUnit(a, b, stride=2), Residual(b))
        self.eighth = nn.Sequential(ConvUnit(b, c, stride=2), Residual(c))
        self.sixteenth = nn.Sequential(ConvUnit(c, d, stride=2), Residual(d), Residual(d))
        self.to_eighth, self.at_eighth = nn.Conv2d(d, c, 1), Residual(c)
        self.to_quarter, self.at_quarter = nn.Conv2d(c, b, 1), Residual(b)
        self.to_fine, self.at_fine = nn.Conv2d(b, a, 1), ConvUnit(a, a)
        self.head = nn.Conv2d(a, 1, 1)

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.fine(picture_input(picture))
        quarter = self.quarter(fine)
        eighth = self.eighth(quarter)
        x = self.sixteenth(eighth)
        x = self.at_eighth(eighth + double(self.to_eighth(x)))
        x = self.at_quarter(quarter + double(self.to_quarter(x)))
        x = self.at_fine(fine + double(self.to_fine(x)))
        out: Tensor = self.head(x)
        return out

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {"picture": torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("person",)
