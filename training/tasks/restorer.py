# SPDX-License-Identifier: Apache-2.0
"""Train the restorer: decoded reference pictures in, what the camera saw out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from talkcodec.errors import InputError
from talkcodec.metrics.base import Clip
from talkcodec.metrics.dists import Dists
from talkcodec.metrics.lpips import Lpips
from talkcodec.metrics.picture import Psnr
from talkcodec.models.restorer import RestorerNet
from talkcodec.types import U8
from training.losses import VggLoss
from training.task import Batch


@dataclass(frozen=True, slots=True)
class RestorerOptions:
    """``[task]``. ``train``, ``validate``: folders of training.stills. ``side``: of the crops that
    are trained on, pixels. ``looks``: weight of the VGG loss against mean |difference| in 8-bit
    steps. ``validate_pictures``: how many are measured.
    """

    train: str
    validate: str
    side: int = 128
    looks: float = 20.0
    stages: int = 4
    validate_pictures: int = 48
    width: int = 40
    blocks: int = 4


class RestorerTask:
    """A ``Task``: one turn, ``"restorer"``."""

    Options = RestorerOptions
    turns: tuple[str, ...] = ("restorer",)

    def __init__(self, options: RestorerOptions) -> None:
        self.options = options
        self._train = _Stills(Path(options.train))
        self._validate = _Stills(Path(options.validate))
        self._loss = VggLoss(options.stages)
        self._network: nn.Module | None = None

    def networks(self) -> dict[str, nn.Module]:
        return {"restorer": RestorerNet(width=self.options.width, blocks=self.options.blocks)}

    def data(self) -> dict[str, Any]:
        return {"train": self._train.about(), "validate": self._validate.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["restorer"]

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        while True:
            random = np.random.default_rng((seed, step, rank))
            crops = [self._train.crop(self.options.side, random) for _ in range(batch)]
            yield {
                "coded": torch.from_numpy(np.stack([c for c, _ in crops])).permute(0, 3, 1, 2),
                "original": torch.from_numpy(np.stack([o for _, o in crops])).permute(0, 3, 1, 2),
            }
            step += 1

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        assert self._network is not None
        found, wanted = self._network(batch["coded"]).float(), batch["original"].float()
        near = (found - wanted).abs().mean()
        looks = self._loss(found, wanted)
        return {"loss": near + self.options.looks * looks, "near": near, "looks": looks}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: mean of LPIPS and DISTS, neither of which was trained on."""
        chosen = self._validate.spread(self.options.validate_pictures)
        original = Clip([self._validate.original[i] for i in chosen], Fraction(1))
        coded = [np.ascontiguousarray(self._validate.coded[i]) for i in chosen]
        scorers = [m.against(original) for m in (Lpips(), Dists(fast=True), Psnr())]
        values: dict[str, float] = {}
        for name, frames in (
            ("coded", coded),
            ("restored", [restore(network, picture) for picture in coded]),
        ):
            for scorer in scorers:
                found = scorer.score(Clip(frames, Fraction(1)))
                values |= {f"{name}_{key}": float(v.mean()) for key, v in found.items()}
        return {"score": (values["restored_lpips"] + values["restored_dists"]) / 2, **values}

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of pictures: as coded, restored, as they were."""
        rows = []
        for index in self._validate.spread(5):
            coded = self._validate.coded[index]
            rows.append(np.hstack([coded, restore(network, coded), self._validate.original[index]]))
        return np.vstack(rows)


class _Stills:
    """Pairs that ``training.stills`` wrote."""

    def __init__(self, folder: Path) -> None:
        try:
            self._about = json.loads((folder / "stills.json").read_text())
            self.original = np.load(folder / "original.npy", mmap_mode="r", allow_pickle=False)
            self.coded = np.load(folder / "coded.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"expected stills in {folder}, found {error}") from None
        if not len(self._about) == len(self.original) == len(self.coded):
            raise InputError(f"expected as many originals as coded pictures in {folder}")

    def about(self) -> dict[str, Any]:
        return {
            "frames": len(self._about),
            "clips": len({row["clip"] for row in self._about}),
            "people": len({row["identity"] for row in self._about}),
            "licences": sorted({row["licence"] for row in self._about}),
        }

    def crop(self, side: int, random: np.random.Generator) -> tuple[U8, U8]:
        """Return a random part of a random pair, coded and original, perhaps mirrored."""
        index = int(random.integers(len(self._about)))
        # Whole blocks of the code's own grid would be learned by their place: any offset will do.
        top, left = random.integers(0, self.coded.shape[1] - side + 1, 2)
        here = np.s_[index, top : top + side, left : left + side]
        coded, original = self.coded[here], self.original[here]
        if random.random() < 0.5:
            coded, original = coded[:, ::-1], original[:, ::-1]
        return np.ascontiguousarray(coded), np.ascontiguousarray(original)

    def spread(self, count: int) -> list[int]:
        """Return indices all over the pairs."""
        return [int(i) for i in np.linspace(0, len(self._about) - 1, count)]


def restore(network: nn.Module, picture: U8) -> U8:
    """Return ``picture``, uint8 (H, W, 3), as ``network`` restores it."""
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    with torch.no_grad():
        out = network(x)[0].float().clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(out.permute(1, 2, 0).numpy())
