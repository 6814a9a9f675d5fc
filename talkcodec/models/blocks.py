# SPDX-License-Identifier: Apache-2.0
"""Plain 3 × 3 convolutions: at equal arithmetic they beat depthwise ones on a CPU (FACTS).

Pictures come and go as cells: every 2 × 2 pixels at one place, their channels by row, column and
channel (``talkcodec.render.cells``). Inside a graph for CPUs, shuffling takes longer than painting.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvUnit(nn.Sequential):
    """Convolution, BatchNorm and ReLU; the first two fold into one at export."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two convolutions beside an identity (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(x + self.norm(self.second(self.first(x))))
        return out


class PlainResidual(nn.Module):
    """Two convolutions beside an identity, without normalisation: contrast is information here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        nn.init.normal_(self.second.weight, std=1e-2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.act(self.first(x)))
        return out


def picture_input(picture: Tensor) -> Tensor:
    """Turn uint8 or float pictures (B, 3, H, W) in 0 to 255 into floats about 0."""
    return picture.float() * (1 / 127.5) - 1


def to_cells(picture: Tensor) -> Tensor:
    """Return the cells (B, 4 C, h, w) of pictures (B, C, 2 h, 2 w)."""
    batch, count, height, width = picture.shape
    pixels = picture.reshape(batch, count, height // 2, 2, width // 2, 2)
    return pixels.permute(0, 3, 5, 1, 2, 4).reshape(batch, 4 * count, height // 2, width // 2)


def from_cells(cells: Tensor) -> Tensor:
    """Return the pictures (B, C, 2 h, 2 w) of cells (B, 4 C, h, w)."""
    batch, count, height, width = cells.shape
    pixels = cells.reshape(batch, 2, 2, count // 4, height, width)
    return pixels.permute(0, 3, 4, 1, 5, 2).reshape(batch, count // 4, 2 * height, 2 * width)


def for_cells(weight: Tensor) -> Tensor:
    """Return for cells a kernel (D, 4 C, k, k) for what ``pixel_unshuffle`` gives."""
    outputs, inputs, *size = weight.shape
    apart = weight.reshape(outputs, inputs // 4, 2, 2, *size)
    return apart.permute(0, 2, 3, 1, 4, 5).reshape(weight.shape)


def shuffled_conv(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Return the cells of ``conv(pixel_shuffle(x, 2))``, computed without shuffling.

    ``x``: (B, 4 C, h, w); ``conv``: of 3 × 3, padded by 1, from C channels to D. Gives (B, 4 D, h,
    w). On a CPU four channels of a large picture cost more than sixteen of a small one.
    """
    # Row d of the kernel, seen from a pixel of phase P, falls on phase p of the cell I further.
    falls = torch.zeros(2, 2, 3, 3, dtype=x.dtype, device=x.device)  # P, p, I, d
    for phase in range(2):
        for d in range(3):
            cell, there = divmod(phase + d - 1, 2)
            falls[phase, there, cell + 1, d] = 1
    kernel = torch.einsum("PpId,QqJe,ocde->PQocpqIJ", falls, falls, conv.weight.to(x.dtype))
    outputs, inputs = conv.weight.shape[:2]
    kernel = kernel.reshape(4 * outputs, 4 * inputs, 3, 3)
    assert conv.bias is not None
    return nn.functional.conv2d(x, kernel, conv.bias.to(x.dtype).repeat(4), padding=1)


def last_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Return ``layer(x)``, (B, D), in 32 bits whatever the rest of the network is computed in.

    For coordinates, of which 8 bits are too few. In bf16 OpenVINO rounds what enters a matrix
    product, but leaves what follows the last one in 32 bits: so none is written into its graph.
    """
    if torch.onnx.is_in_onnx_export():
        return (x[..., None] * layer.weight.T).sum(1) + layer.bias
    with torch.autocast(x.device.type, enabled=False):
        return nn.functional.linear(x.float(), layer.weight.float(), layer.bias)


def double(x: Tensor) -> Tensor:
    """Return ``x`` at twice the size, each number four times."""
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")
