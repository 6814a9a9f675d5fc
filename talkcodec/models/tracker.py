# SPDX-License-Identifier: Apache-2.0
"""From an upright face crop to dense landmarks with irises.

Landmarks are the sum of a fixed mean, a linear basis that starts as the principal components of
the training landmarks, and corrections for eyes and mouth from finer features: the whole face
constrains each point. Where they are found, ``talkcodec.models.details`` looks from nearer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import ConvUnit, Residual, last_linear, picture_input

#: Side of the crop that the network sees, pixels.
SIDE = 128
#: Values besides landmarks: a logit that there is a face, then lip and both lid openings.
EXTRAS = 4


class TrackerNet(nn.Module):
    """``forward``: crop (B, 3, 128, 128) in 0–255 RGB → landmarks (B, 478, 3), extras (B, 4).

    Landmarks are in crop widths, (0, 0) the crop's middle; z in the same unit. ``extras``: logit of
    "this is a face, centred well enough", and the openings of lips, left and right lids in
    inter-ocular distances.
    """

    def __init__(
        self,
        *,
        fine_points: Sequence[int],
        points: int = 478,
        basis: int = 64,
        rank: int = 24,
        widths: Sequence[int] = (16, 32, 64, 80, 64),
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "points": points,
            "basis": basis,
            "rank": rank,
            "fine_points": [int(index) for index in fine_points],
            "widths": list(widths),
        }
        a, b, c, d, e = widths
        self.points = points
        self.stem = nn.Sequential(ConvUnit(3, a, kernel=5, stride=2), ConvUnit(a, b, stride=2))
        self.stage1 = nn.Sequential(Residual(b), Residual(b))
        self.stage2 = nn.Sequential(ConvUnit(b, c, stride=2), Residual(c), Residual(c))
        self.stage3 = nn.Sequential(ConvUnit(c, d, stride=2), Residual(d), Residual(d))
        self.stage4 = ConvUnit(d, e, stride=2)
        self.squeeze = nn.Sequential(nn.Conv2d(c, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.code = nn.Linear(e * 16, basis)
        self.basis = nn.Linear(basis, points * 3)
        # Of 64 features few combinations matter: a narrow layer before them saves a fifth of all.
        narrow = nn.Linear(6 * 256 + e * 16, rank)
        self.fine = nn.Sequential(narrow, nn.Linear(rank, 64), nn.ReLU())
        self.fine_points = tuple(int(i) for i in fine_points)
        rows = torch.full((points,), len(self.fine_points))
        rows[list(self.fine_points)] = torch.arange(len(self.fine_points))
        self.rows: Tensor
        self.register_buffer("rows", rows, persistent=False)
        self.correction = nn.Linear(64, len(fine_points) * 2)
        self.extras = nn.Linear(64, EXTRAS)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.stage2(self.stage1(self.stem(picture_input(crop))))
        deep = self.stage4(self.stage3(middle)).flatten(1)
        near = self.squeeze(middle).flatten(1)
        coarse = last_linear(self.basis, last_linear(self.code, deep)).view(-1, self.points, 3)
        fine = self.fine(torch.cat([near, deep], 1))
        shift = self.correction(fine).view(-1, len(self.fine_points), 2)
        # A row of zeros for all other points, then every point takes its row: one gather.
        shift = torch.cat([shift, torch.zeros_like(shift[:, :1])], 1)[:, self.rows]
        landmarks = coarse + nn.functional.pad(shift, (0, 1))
        return landmarks, self.extras(fine)

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {"crop": torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("landmarks", "extras")

    @torch.no_grad()
    def start_from(self, mean: Tensor, components: Tensor) -> None:
        """Begin with ``mean`` (points, 3) and ``components`` (basis, points, 3), scaled to use."""
        self.basis.weight.copy_(components.flatten(1).T)
        self.basis.bias.copy_(mean.flatten())
        self.code.weight.mul_(0.1)
        self.code.bias.zero_()
