# SPDX-License-Identifier: Apache-2.0
"""Mouth and eyes looked at closely: a small U-Net (Ronneberger et al. 2015) on an upright crop.

They are a twentieth of a picture and most of what a listener looks at. The painter gives them no
more work than the wall behind; each of these networks has as much for its part as the painter has
for the whole picture.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import PlainResidual, double, for_cells, picture_input, shuffled_conv

#: Planes given: the part as drawn so far (3), two outlines that it should have (2), the part in the
#: reference that tells most of it (3), its outline there (1).
PLANES = 9
#: Width and height of the crops, pixels.
MOUTH_SIZE, EYES_SIZE = (80, 80), (128, 48)


class CloseupNet(nn.Module):
    """``forward``: cells (B, 36, h, w) of planes in 0–255 → (B, 12, h, w) to add, 8-bit steps.

    ``talkcodec.render.closeup`` makes the planes.
    """

    #: Width and height of what an exported network takes.
    size: tuple[int, int]

    def __init__(self, *, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"widths": list(widths)}
        a, b, c = widths
        self.head = nn.Conv2d(4 * PLANES, a, 3, padding=1)
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

    def forward(self, part: Tensor) -> Tensor:
        given = picture_input(part)
        kernel = for_cells(self.head.weight)
        fine = self.act(nn.functional.conv2d(given, kernel, self.head.bias, padding=1))
        middle = self.middle_body(self.act(self.middle(fine)))
        coarse = self.coarse_body(self.act(self.coarse(middle)))
        up = self.up_middle(self.act(_joined(self.to_middle, middle, coarse)))
        up = self.up_fine(self.act(_joined(self.to_fine, fine, up)))
        return shuffled_conv(self.tail(up), self.smooth) * 127.5

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        width, height = self.size
        return {"part": torch.zeros(1, 4 * PLANES, height // 2, width // 2, dtype=torch.uint8)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("change",)


class MouthNet(CloseupNet):
    """Lips, teeth, and what is between them."""

    size = MOUTH_SIZE


class EyesNet(CloseupNet):
    """Both eyes, lids and brows' lower edges."""

    size = EYES_SIZE


def _joined(conv: nn.Conv2d, fine: Tensor, coarse: Tensor) -> Tensor:
    """Return ``conv``, of 1 × 1, of ``fine`` and the doubled ``coarse``, before it is doubled."""
    weight, count = conv.weight, fine.shape[1]
    near = nn.functional.conv2d(fine, weight[:, :count], conv.bias)
    return near + double(nn.functional.conv2d(coarse, weight[:, count:]))
