# SPDX-License-Identifier: Apache-2.0
"""A small U-Net (Ronneberger et al. 2015) over cells: what is to be added to a picture.

It works at half the resolution of the picture and below, in multiples of 32 channels: those are
what the matrix units of processors take at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import PlainResidual, double, for_cells, picture_input, shuffled_conv


class CellsUNet(nn.Module):
    """``forward``: cells (B, 4 P, h, w) of P planes in 0–255 → (B, 12, h, w) to add, 8-bit steps.

    ``widths``: channels at a half, a quarter and an eighth of the picture's resolution. New, it
    adds next to nothing.
    """

    #: P.
    planes: int
    #: Name of the input of an exported network.
    given = "cells"
    #: Width and height of the pictures that an exported network takes, multiples of 8.
    size: tuple[int, int]

    def __init__(self, *, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"widths": list(widths)}
        a, b, c = widths
        self.head = nn.Conv2d(4 * self.planes, a, 3, padding=1)
        self.middle = nn.Conv2d(a, b, 3, 2, 1)
        self.middle_body = PlainResidual(b)
        self.coarse = nn.Conv2d(b, c, 3, 2, 1)
        self.coarse_body = nn.Sequential(PlainResidual(c), PlainResidual(c))
        self.to_middle = nn.Conv2d(b + c, b, 1)
        self.up_middle = PlainResidual(b)
        self.to_fine = nn.Conv2d(a + b, a, 1)
        self.up_fine = nn.Sequential(PlainResidual(a), PlainResidual(a))
        self.tail = nn.Conv2d(a, 12, 3, padding=1)
        # After the shuffle neighbours come from different channels: this evens them out.
        self.smooth = nn.Conv2d(3, 3, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        nn.init.normal_(self.tail.weight, std=1e-3)
        for layer in (self.tail, self.smooth):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.dirac_(self.smooth.weight)

    def forward(self, cells: Tensor) -> Tensor:
        kernel = for_cells(self.head.weight)
        given = nn.functional.conv2d(picture_input(cells), kernel, self.head.bias, padding=1)
        fine = self.act(given)
        middle = self.middle_body(self.act(self.middle(fine)))
        coarse = self.coarse_body(self.act(self.coarse(middle)))
        up = self.up_middle(self.act(_joined(self.to_middle, middle, coarse)))
        up = self.up_fine(self.act(_joined(self.to_fine, fine, up)))
        return shuffled_conv(self.tail(up), self.smooth) * 127.5

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        width, height = self.size
        shape = (1, 4 * self.planes, height // 2, width // 2)
        return {self.given: torch.zeros(shape, dtype=torch.uint8)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("change",)


def _joined(conv: nn.Conv2d, fine: Tensor, coarse: Tensor) -> Tensor:
    """Return ``conv``, of 1 × 1, of ``fine`` and the doubled ``coarse``, before it is doubled."""
    weight, count = conv.weight, fine.shape[1]
    near = nn.functional.conv2d(fine, weight[:, :count], conv.bias)
    return near + double(nn.functional.conv2d(coarse, weight[:, count:]))
