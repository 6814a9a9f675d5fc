# SPDX-License-Identifier: Apache-2.0
"""Networks that learn to tell drawn pictures from real ones; they are trained and then left.

Patches at two scales (Wang et al. 2018, pix2pixHD), and one that sees mouths and eyes only, all
given where mouth and eyes should be. Hinge loss (Lim & Ye 2017), feature matching, and spectral
normalisation (Miyato et al. 2018), which keeps small batches steady.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from talkcodec.models.generator import DRIVE

#: Side of the crops of mouths and eyes, pixels.
PART_SIDE = 64

Maps = list[list[Tensor]]


class Discriminators(nn.Module):
    """``forward``: pictures (B, 3, 256, 256) in 0–255, drive (B, 5, 128, 128), places (B, 2, 2) →
    of each discriminator its feature maps, the last being the verdict.
    """

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"width": width}
        self.fine = _patches(width)
        self.coarse = _patches(width)
        self.parts = _patches(width)

    def forward(self, pictures: Tensor, drive: Tensor, places: Tensor) -> Maps:
        size = pictures.shape[-2:]
        given = torch.cat([pictures, nnf.interpolate(drive.float(), size)], 1) / 127.5 - 1
        parts = torch.cat([_around(given, places[:, part]) for part in range(places.shape[1])])
        seen = ((self.fine, given), (self.coarse, nnf.avg_pool2d(given, 2)), (self.parts, parts))
        return [_maps(network, x) for network, x in seen]


def verdict_loss(real: Maps, drawn: Maps) -> Tensor:
    """Return what discriminators minimise."""
    sides = [(r[-1], d[-1]) for r, d in _pairs(real, drawn)]
    return torch.stack([nnf.relu(1 - r).mean() + nnf.relu(1 + d).mean() for r, d in sides]).mean()


def fooling_loss(drawn: Maps) -> Tensor:
    """Return what the generator minimises: how sure they are that it drew."""
    return -torch.stack([maps[-1].mean() for maps in drawn]).mean()


def matching_loss(real: Maps, drawn: Maps) -> Tensor:
    """Return how unlike the features are that they see."""
    terms = [
        (d - r.detach()).abs().mean()
        for real_maps, drawn_maps in _pairs(real, drawn)
        for r, d in zip(real_maps[:-1], drawn_maps[:-1], strict=True)
    ]
    return torch.stack(terms).mean()


def _pairs(real: Maps, drawn: Maps) -> list[tuple[list[Tensor], list[Tensor]]]:
    return list(zip(real, drawn, strict=True))


def _patches(width: int) -> nn.ModuleList:
    channels = (3 + DRIVE, width, 2 * width, 4 * width)
    layers = [spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(channels)]
    return nn.ModuleList([*layers, spectral_norm(nn.Conv2d(channels[-1], 1, 3, 1, 1))])


def _maps(network: nn.ModuleList, x: Tensor) -> list[Tensor]:
    maps = []
    for index, layer in enumerate(network):
        x = layer(x)
        if index + 1 < len(network):
            x = nnf.leaky_relu(x, 0.2)
        maps.append(x)
    return maps


def _around(pictures: Tensor, places: Tensor) -> Tensor:
    """Return crops (B, C, 64, 64) about ``places`` (B, 2), pixels."""
    side = pictures.shape[-1]
    half = PART_SIDE / side
    theta = pictures.new_zeros(len(pictures), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = half
    theta[:, :, 2] = places * (2 / side) - 1
    size = [len(pictures), pictures.shape[1], PART_SIDE, PART_SIDE]
    grid = nnf.affine_grid(theta, size, align_corners=False)
    return nnf.grid_sample(pictures, grid, "bilinear", "border", align_corners=False)
