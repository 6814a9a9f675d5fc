# SPDX-License-Identifier: Apache-2.0
"""What the geometric warp cannot draw: two small networks around a warp done outside of them.

``MotionNet`` looks at the warped reference at half size, at the flow that made it and at where
mouth and eyes should be, and says how the flow outside the face should be corrected. The
reference is then warped anew, by OpenCV, which no graph does faster. ``PainterNet`` adds to that
picture what no warp brings: mouth interiors, lids, uncovered skin and hair, lost texture.

Convolutions stay at half resolution and below (Shi et al. 2016 for the way up); the one after the
shuffle evens out neighbours that come from different channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from talkcodec.models.blocks import ConvUnit, PlainResidual, Residual, picture_input

#: Side of pictures that are painted, of what drives both networks, and of the flow, pixels.
SIDE, DRIVE_SIDE, FLOW_SIDE = 256, 128, 64
#: Channels that say where things should be: ``talkcodec.render.drive``.
DRIVE = 5
#: Channels of the flow input: x, y in 16 canvas units, and distance from the face in its heights.
FLOW = 3
#: Features that the first network hands to the second.
FEATURES = 32
#: Most that the flow is corrected by, canvas units.
REACH = 24.0


class MotionNet(nn.Module):
    """``forward``: warped reference, drive, flow → correction, features, doubt.

    ``picture``: (B, 3, 128, 128) in 0–255 RGB; ``drive``: (B, 5, 128, 128) in 0–255; ``flow``:
    float (B, 3, 64, 64). ``correction``: (B, 2, 64, 64), canvas units; ``features``: (B, 32, 64,
    64); ``doubt``: (B, 2), logarithms of the mean error, in 0 to 255, that the painted picture will
    have as a whole and within the face.
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
        self.to_fine = ConvUnit(a + b, FEATURES)
        self.head = nn.Conv2d(FEATURES, 2, 3, padding=1)
        self.doubt = nn.Linear(c, 2)
        nn.init.normal_(self.head.weight, std=1e-3)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, picture: Tensor, drive: Tensor, flow: Tensor) -> tuple[Tensor, ...]:
        given = torch.cat([picture_input(picture), picture_input(drive)], 1)
        fine = self.fine(torch.cat([self.stem(given), flow], 1))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        whole = self.whole(coarse)
        up = self.to_coarse(torch.cat([coarse, _double(whole)], 1))
        up = self.to_middle(torch.cat([middle, _double(up)], 1))
        features = self.to_fine(torch.cat([fine, _double(up)], 1))
        correction = REACH * torch.tanh(self.head(features))
        return correction, features, self.doubt(whole.mean((2, 3)))

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {
            "picture": torch.zeros(1, 3, DRIVE_SIDE, DRIVE_SIDE, dtype=torch.uint8),
            "drive": torch.zeros(1, DRIVE, DRIVE_SIDE, DRIVE_SIDE, dtype=torch.uint8),
            "flow": torch.zeros(1, FLOW, FLOW_SIDE, FLOW_SIDE),
        }

    def export_outputs(self) -> tuple[str, ...]:
        return ("correction", "features", "doubt")


class PainterNet(nn.Module):
    """``forward``: warped picture, drive, features → the painted picture.

    ``picture``: (B, 3, 256, 256) in 0–255 RGB; ``drive``: (B, 5, 128, 128) in 0–255; ``features``:
    of ``MotionNet``. Returns (B, 3, 256, 256), about 0–255.
    """

    def __init__(self, *, width: int = 16, blocks: int = 1, squeezed: int = 12) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"width": width, "blocks": blocks, "squeezed": squeezed}
        self.squeeze = nn.Conv2d(FEATURES, squeezed, 1)
        self.head = nn.Conv2d(12 + DRIVE + squeezed, width, 3, padding=1)
        self.body = nn.Sequential(*(PlainResidual(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, 16, 3, padding=1)
        self.smooth = nn.Conv2d(4, 3, 3, padding=1)
        nn.init.normal_(self.smooth.weight, std=1e-2)
        assert self.smooth.bias is not None
        nn.init.zeros_(self.smooth.bias)

    def forward(self, picture: Tensor, drive: Tensor, features: Tensor) -> Tensor:
        x = picture_input(picture)
        near = _double(self.squeeze(features))
        given = [nn.functional.pixel_unshuffle(x, 2), picture_input(drive), near]
        hidden = self.body(nn.functional.relu(self.head(torch.cat(given, 1))))
        change = self.smooth(nn.functional.pixel_shuffle(self.tail(hidden), 2))
        out: Tensor = (x + change + 1) * 127.5
        return out

    def export_inputs(self) -> dict[str, Tensor]:
        """Return an example input by name, as the engines are given it."""
        return {
            "picture": torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8),
            "drive": torch.zeros(1, DRIVE, DRIVE_SIDE, DRIVE_SIDE, dtype=torch.uint8),
            "features": torch.zeros(1, FEATURES, FLOW_SIDE, FLOW_SIDE),
        }

    def export_outputs(self) -> tuple[str, ...]:
        return ("painted",)


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
        correction, features, doubt = self.motion(batch["small"], batch["drive"], batch["flow"])
        shift = nn.functional.interpolate(
            correction.float(), scale_factor=2, mode="bilinear", align_corners=False
        )
        field = batch["field"] + shift * batch["outside"][:, None]
        moved = warp(batch["reference"].float()[batch["of"].long()], field)
        # What comes from other references, or was painted, stays.
        warped = torch.where(batch["patched"][:, None], batch["warped"].float(), moved)
        painted = self.painter(warped, batch["drive"], features)
        return {"painted": painted, "warped": warped, "doubt": doubt}


def warp(picture: Tensor, field: Tensor) -> Tensor:
    """Sample ``picture`` (B, 3, S, S) along ``field`` (B, 2, n, n), canvas units, as OpenCV does.

    The same as ``talkcodec.render.geometric.resample``, with gradients.
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


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")
