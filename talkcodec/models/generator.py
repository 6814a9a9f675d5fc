# SPDX-License-Identifier: Apache-2.0
"""What the geometric warp cannot draw: two small networks around a warp done outside of them.

``MotionNet`` looks at the warped reference at half size, at the flow that made it and at where
mouth and eyes should be, and says how the flow outside the face should be corrected. The
reference is then warped anew, by OpenCV, which no graph does faster. ``PainterNet`` adds to that
picture what no warp brings: mouth interiors, lids, uncovered skin and hair, lost texture.

Convolutions stay at half resolution and below (Shi et al. 2016 for the way up). The last one evens
out neighbours that come from different channels: it is one of the full resolution, computed at half
of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import (
    ConvUnit,
    PlainResidual,
    Residual,
    double,
    for_cells,
    from_cells,
    picture_input,
    shuffled_conv,
    to_cells,
)

#: Side of pictures that are painted, of what drives both networks, and of the flow, pixels.
SIDE, DRIVE_SIDE, FLOW_SIDE = 256, 128, 64
#: Channels of a cell of a picture.
CELL = 12
#: Channels that say where things should be: ``talkcodec.render.drive``.
DRIVE = 5
#: Channels of the flow input: x, y in 16 canvas units, and distance from the face in its heights.
FLOW = 3
#: Features that the first network hands to the second, and how many it has itself.
FEATURES, _WIDE = 12, 32
#: Most that the flow is corrected by, canvas units.
REACH = 24.0


class MotionNet(nn.Module):
    """``forward``: warped reference and drive, flow → correction, features, doubt.

    ``picture``: (B, 8, 128, 128) in 0–255, the reference in RGB and then the drive; ``flow``: float
    (B, 3, 64, 64). ``correction``: (B, 2, 64, 64), canvas units; ``features``: (B, 12, 64, 64);
    ``doubt``: (B, 2), logarithms of the mean error, in 0 to 255, that the painted picture will have
    as a whole and within the face.
    """

    def __init__(self, *, widths: tuple[int, int, int] = (24, 48, 80)) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"widths": list(widths)}
        a, b, c = widths
        self.stem = ConvUnit(3 + DRIVE, a, stride=2)
        self.fine = ConvUnit(a + FLOW, a)
        self.middle = nn.Sequential(ConvUnit(a, b, stride=2), Residual(b))
        self.coarse = nn.Sequential(ConvUnit(b, c, stride=2), Residual(c))
        self.whole = nn.Sequential(ConvUnit(c, c, stride=2), Residual(c))
        self.to_coarse = ConvUnit(2 * c, c)
        self.to_middle = ConvUnit(b + c, b)
        self.to_fine = ConvUnit(a + b, _WIDE)
        self.head = nn.Conv2d(_WIDE, 2, 3, padding=1)
        self.squeeze = nn.Conv2d(_WIDE, FEATURES, 1)
        self.doubt = nn.Linear(c, 2)
        nn.init.normal_(self.head.weight, std=1e-3)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, picture: Tensor, flow: Tensor) -> tuple[Tensor, ...]:
        fine = self.fine(torch.cat([self.stem(picture_input(picture)), flow], 1))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        whole = self.whole(coarse)
        up = self.to_coarse(torch.cat([coarse, double(whole)], 1))
        up = self.to_middle(torch.cat([middle, double(up)], 1))
        fine = self.to_fine(torch.cat([fine, double(up)], 1))
        correction = REACH * torch.tanh(self.head(fine))
        return correction, self.squeeze(fine), self.doubt(whole.mean((2, 3)))

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {
            "picture": torch.zeros(1, 3 + DRIVE, DRIVE_SIDE, DRIVE_SIDE, dtype=torch.uint8),
            "flow": torch.zeros(1, FLOW, FLOW_SIDE, FLOW_SIDE),
        }

    def export_outputs(self) -> tuple[str, ...]:
        return ("correction", "features", "doubt")


class PainterNet(nn.Module):
    """``forward``: warped picture and drive, features → what to add to the picture.

    ``cells``: (B, 17, 128, 128) in 0–255, those of a picture in RGB and then the drive;
    ``features``: of ``MotionNet``. Returns cells (B, 12, 128, 128), 8-bit steps.
    """

    def __init__(self, *, width: int = 16, blocks: int = 1) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"width": width, "blocks": blocks}
        self.head = nn.Conv2d(CELL + DRIVE + FEATURES, width, 3, padding=1)
        self.body = nn.Sequential(*(PlainResidual(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, 16, 3, padding=1)
        self.smooth = nn.Conv2d(4, 3, 3, padding=1)
        nn.init.normal_(self.smooth.weight, std=1e-2)
        assert self.smooth.bias is not None
        nn.init.zeros_(self.smooth.bias)

    def forward(self, cells: Tensor, features: Tensor) -> Tensor:
        weight, known = self.head.weight, CELL + DRIVE
        kernel = torch.cat([for_cells(weight[:, :CELL]), weight[:, CELL:known]], 1)
        # A sum of convolutions: of channels one after the other an engine makes a copy first.
        seen = nn.functional.conv2d(picture_input(cells), kernel, self.head.bias, padding=1)
        seen = seen + nn.functional.conv2d(double(features), weight[:, known:], padding=1)
        hidden = self.body(nn.functional.relu(seen))
        return shuffled_conv(self.tail(hidden), self.smooth) * 127.5

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {
            "cells": torch.zeros(1, CELL + DRIVE, SIDE // 2, SIDE // 2, dtype=torch.uint8),
            "features": torch.zeros(1, FEATURES, FLOW_SIDE, FLOW_SIDE),
        }

    def export_outputs(self) -> tuple[str, ...]:
        return ("change",)


class GeneratorNet(nn.Module):
    """Both networks and, for training, the warp between them.

    ``forward``: a batch of ``training.tasks.driven.collate`` → ``painted`` and ``warped`` (B, 3,
    256, 256), about 0–255, and ``doubt`` (B, 2).
    """

    def __init__(
        self,
        *,
        widths: tuple[int, int, int] = (24, 48, 80),
        width: int = 16,
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "widths": list(widths),
            "width": width,
            "blocks": blocks,
        }
        self.motion = MotionNet(widths=widths)
        self.painter = PainterNet(width=width, blocks=blocks)

    def parts(self) -> dict[str, nn.Module]:
        """Return the networks that a call runs, by the name that each ships under."""
        return {"dense_motion": self.motion, "painter": self.painter}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        drive = batch["drive"]
        picture = torch.cat([batch["small"], drive], 1)
        correction, features, doubt = self.motion(picture, batch["flow"])
        shift = nn.functional.interpolate(
            correction.float(), scale_factor=2, mode="bilinear", align_corners=False
        )
        field = batch["field"] + shift * batch["outside"][:, None]
        moved = warp(batch["reference"].float()[batch["of"].long()], field)
        # What comes from other references, or was painted, stays.
        warped = torch.where(batch["patched"][:, None], batch["warped"].float(), moved)
        change = self.painter(torch.cat([to_cells(warped), drive], 1), features)
        return {"painted": warped + from_cells(change), "warped": warped, "doubt": doubt}


def warp(picture: Tensor, field: Tensor) -> Tensor:
    """Sample ``picture`` (B, 3, S, S) along ``field`` (B, 2, n, n), canvas units, bicubically.

    Within half an 8-bit step what ``talkcodec.render.resample`` draws, with gradients.
    """
    side = picture.shape[-1]
    full = nn.functional.interpolate(field, (side, side), mode="bilinear", align_corners=False)
    grid = torch.arange(side, device=picture.device, dtype=torch.float32) + 0.5
    scale = side / SIDE
    x = (full[:, 0] * scale + grid[None, None, :]) * (2 / side) - 1
    y = (full[:, 1] * scale + grid[None, :, None]) * (2 / side) - 1
    return nn.functional.grid_sample(
        picture, torch.stack([x, y], -1), "bicubic", "border", align_corners=False
    ).clamp(0, 255)
