# SPDX-License-Identifier: Apache-2.0
"""What a coarse still-picture code takes from a face, put back by a small U-Net.

It runs once for every reference picture, not for every frame, so it may cost what no frame could.
Nothing happens at full resolution: the detail that a quantiser of AV1 takes away is two pixels wide
and wider.
"""

from __future__ import annotations

from talkcodec.models.unet import CellsUNet

#: Side of the pictures that the exported network takes, pixels; larger ones go through in tiles.
SIDE = 256


class RestorerNet(CellsUNet):
    """``forward``: cells (B, 12, h, w) of a picture, 0–255 RGB → (B, 12, h, w) to add."""

    planes, size = 3, (SIDE, SIDE)

    def __init__(self, *, widths: tuple[int, int, int] = (32, 64, 64)) -> None:
        super().__init__(widths=widths)
