# SPDX-License-Identifier: Apache-2.0
"""Where faces are in a small picture: a map of scores, and in every cell where the face is.

One map for all sizes, in the manner of CenterNet (Zhou et al. 2019): a cell near the middle of a
face answers for it, and says how far off the middle is, how large the face and how it is turned.
A call needs this at its start and after a loss only, so the network is small rather than sharp:
the landmark network, which looks next, corrects it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import ConvUnit, Residual, picture_input

#: Side of the picture that the network sees, pixels, and of its map, cells.
SIDE = 128
CELLS = 16
#: Values in a cell besides the score: middle (x, y), size, and the turn's cosine and sine.
PLACE = 5


class DetectorNet(nn.Module):
    """``forward``: pictures (B, 3, 128, 128) in 0–255 RGB → score logits (B, 16, 16) and places
    (B, 5, 16, 16).

    A place holds the middle's distance from the cell's own in cells (x, y), the natural logarithm
    of the square's side in picture widths, and cosine and sine of its turn, clockwise.
    """

    def __init__(self, *, widths: tuple[int, int, int, int] = (12, 24, 32, 64)) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"widths": list(widths)}
        a, b, c, d = widths
        self.stem = nn.Sequential(ConvUnit(3, a, stride=2), ConvUnit(a, b, stride=2))
        self.eighth = nn.Sequential(Residual(b), ConvUnit(b, c, stride=2), Residual(c), Residual(c))
        self.wide = nn.Sequential(ConvUnit(c, d, stride=2), Residual(d), Residual(d))
        # The whole picture in few cells: a large face is seen from its middle.
        self.wider = nn.Sequential(ConvUnit(d, d, stride=2), Residual(d))
        self.from_wider = nn.Conv2d(d, d, 1)
        self.from_wide = nn.Conv2d(d, c, 1)
        self.mix = ConvUnit(c, c)
        self.head = nn.Conv2d(c, 1 + PLACE, 1)
        with torch.no_grad():
            assert self.head.bias is not None
            self.head.bias[0] = -4.0  # nearly every cell is empty

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        eighth = self.eighth(self.stem(picture_input(picture)))
        wide = self.wide(eighth)
        wide = wide + _doubled(self.from_wider(self.wider(wide)))
        out = self.head(self.mix(eighth + _doubled(self.from_wide(wide))))
        return out[:, 0], out[:, 1:]

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {"picture": torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("scores", "places")


def _doubled(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
