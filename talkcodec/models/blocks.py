# SPDX-License-Identifier: Apache-2.0
"""Plain 3 × 3 convolutions: at equal arithmetic they beat depthwise ones on a CPU (FACTS)."""

from __future__ import annotations

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
