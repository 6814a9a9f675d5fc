# SPDX-License-Identifier: Apache-2.0
"""A task small enough for tests: a convolution net learns the mean colour of noise pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from talkcodec.types import U8
from training.task import Batch


class ToyNet(nn.Module):
    """Pictures (N, 3, 16, 16) to colours (N, 3), with normalisation and dropout."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.arguments = {"width": width}
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.1),
        )
        self.head = nn.Linear(width, 3)

    def export_inputs(self) -> dict[str, Tensor]:
        return {"picture": torch.rand(1, 3, 16, 16)}

    def export_outputs(self) -> tuple[str, ...]:
        return ("colour",)

    def forward(self, picture: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(picture).mean((2, 3)))
        return out


@dataclass(frozen=True, slots=True)
class ToyOptions:
    poison: tuple[int, ...] = ()


class ToyTask:
    """``poison``: steps whose pictures are not finite."""

    Options = ToyOptions
    turns: tuple[str, ...] = ("toy",)

    def __init__(self, options: ToyOptions) -> None:
        self.options = options
        self.seen: list[tuple[int, float]] = []

    def networks(self) -> dict[str, nn.Module]:
        return {turn: ToyNet() for turn in self.turns}

    def data(self) -> dict[str, Any]:
        return {"licences": ["CC0-1.0"], "clips": 0}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self.attached = dict(networks)

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world
        while True:
            rng = np.random.default_rng((seed, step, rank))
            picture = torch.from_numpy(rng.random((batch, 3, 16, 16), np.float32))
            colour = picture.mean((2, 3))
            if step in self.options.poison:
                picture[:] = torch.nan
            yield {"picture": picture, "colour": colour}
            step += 1

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        loss = (self.attached[turn](batch["picture"]) - batch["colour"]).square().mean()
        self.seen.append((step, float(loss.detach())))
        return {"loss": loss, "root": loss.sqrt()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        batch = next(self.loader(batch=16, seed=99, step=0, rank=0, world=1))
        error = float((network(batch["picture"]) - batch["colour"]).square().mean())
        return {"score": error, "error": error}

    def pictures(self, network: nn.Module) -> U8 | None:
        del network
        return np.full((8, 12, 3), (200, 10, 30), np.uint8)
