# SPDX-License-Identifier: Apache-2.0
"""Lips, lids and irises read from nearer than the whole face is.

A landmark network sees a mouth in a tenth of its crop's pixels, and answers for all of the face at
once. As in attention meshes (Grishchenko et al. 2020) the parts that speak are cut out once more
where they were found, at the picture's own resolution, and read by networks of their own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import ConvUnit, Residual, last_linear, picture_input

#: Sides of the crops, pixels, and how many points are read in each.
MOUTH_SIDE, MOUTH_POINTS = 64, 40
EYE_SIDE, EYE_POINTS = 48, 21


class PartNet(nn.Module):
    """``forward``: crops (B, 3, S, S) in 0–255 RGB → points (B, N, 2) in crop widths about the
    crop's middle.
    """

    def __init__(
        self, side: int, points: int, widths: tuple[int, int, int, int], hidden: int
    ) -> None:
        super().__init__()
        a, b, c, d = widths
        self.body = nn.Sequential(
            ConvUnit(3, a, stride=2),
            ConvUnit(a, b, stride=2),
            Residual(b),
            ConvUnit(b, c, stride=2),
            Residual(c),
            ConvUnit(c, d, stride=2),
        )
        self.hidden = nn.Sequential(nn.Linear(d * (side // 16) ** 2, hidden), nn.ReLU(inplace=True))
        self.points = nn.Linear(hidden, 2 * points)

    def forward(self, crop: Tensor) -> Tensor:
        seen = self.hidden(self.body(picture_input(crop)).flatten(1))
        return last_linear(self.points, seen).view(len(crop), -1, 2)

    @torch.no_grad()
    def start_from(self, mean: Tensor) -> None:
        """Begin with ``mean`` (N, 2)."""
        self.points.weight.mul_(0.1)
        self.points.bias.copy_(mean.flatten())


class DetailsNet(nn.Module):
    """``forward``: crops of the mouth (B, 3, 64, 64), of the subject's right eye and of the left
    one, mirrored (B, 3, 48, 48 each), in 0–255 RGB → points (B, 40, 2), (B, 21, 2) and
    (B, 21, 2), in crop widths about the crops' middles; those of the left eye mirrored too.

    ``talkcodec.face.details`` cuts the crops and says which points these are.
    """

    def __init__(
        self,
        *,
        mouth: tuple[int, int, int, int] = (12, 24, 32, 48),
        eye: tuple[int, int, int, int] = (12, 20, 32, 48),
        hidden: tuple[int, int] = (64, 48),
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "mouth": list(mouth),
            "eye": list(eye),
            "hidden": list(hidden),
        }
        self.mouth = PartNet(MOUTH_SIDE, MOUTH_POINTS, mouth, hidden[0])
        self.eye = PartNet(EYE_SIDE, EYE_POINTS, eye, hidden[1])

    def forward(self, mouth: Tensor, right: Tensor, left: Tensor) -> tuple[Tensor, ...]:
        eyes = self.eye(torch.cat([right, left]))
        return self.mouth(mouth), eyes[: len(right)], eyes[len(right) :]

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        sides = {"mouth": MOUTH_SIDE, "right": EYE_SIDE, "left": EYE_SIDE}
        return {n: torch.zeros(1, 3, side, side, dtype=torch.uint8) for n, side in sides.items()}

    def export_outputs(self) -> tuple[str, ...]:
        return ("mouth_points", "right_points", "left_points")
