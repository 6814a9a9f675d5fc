# SPDX-License-Identifier: Apache-2.0
"""Train the restorer by itself: a decoded reference beside what the camera saw.

Only here do the two lie pixel on pixel. Trained through the generator's warps, which never hit
quite, the network learns that blur is safe, and takes away the texture that a finer quantiser left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from talkcodec.models.restorer import SIDE, RestorerNet
from talkcodec.types import F64, U8
from training.checkpoint import begin_from
from training.coded import CodedStore
from training.losses import LooksLoss
from training.store import check_apart
from training.task import Batch
from training.tasks.driven import planes, tone_curve, toned_by
from training.tasks.looks import looks_losses, looks_scores

#: Rows of the image grid.
_ROWS = 8


@dataclass(frozen=True, slots=True)
class RestorerOptions:
    """``[task]``. ``train``, ``validate``: coded stores. ``side``: of the crops, pixels.

    Weights of the losses: ``near``, mean difference in 8-bit steps; ``dists``, ``features``,
    ``lpips``. ``evenness``: clips are drawn in proportion to their frames to this power.
    ``start``: weights of an earlier run to begin from. ``validate_references``: of how many.
    ``width``, ``blocks``: of the network.
    """

    train: str
    validate: str
    side: int = 96
    near: float = 0.01
    dists: float = 2.0
    features: float = 0.5
    lpips: float = 2.0
    evenness: float = 0.75
    start: str = ""
    validate_references: int = 80
    width: int = 24
    blocks: int = 4


class RestorerTask:
    """A ``Task`` of one turn, ``"restorer"``."""

    Options = RestorerOptions
    turns = ("restorer",)

    def __init__(self, options: RestorerOptions) -> None:
        self.options = options
        self._train = CodedStore.open(Path(options.train))
        self._validate = CodedStore.open(Path(options.validate))
        check_apart(self._train.store, self._validate.store)
        self._looks = LooksLoss()
        self._network: nn.Module = nn.Identity()

    def networks(self) -> dict[str, nn.Module]:
        network = RestorerNet(width=self.options.width, blocks=self.options.blocks)
        if self.options.start:
            begin_from(Path(self.options.start), network)
        return {"restorer": network}

    def data(self) -> dict[str, Any]:
        return {"train": self._train.store.about(), "validate": self._validate.store.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["restorer"]

    @cached_property
    def _chances(self) -> F64:
        return self._train.chances(self.options.evenness)

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        while True:
            random = np.random.default_rng((seed, step, rank))
            clips = random.choice(len(self._chances), batch, p=self._chances)
            pairs = [self._crop(int(clip), random) for clip in clips]
            coded, original = ([pair[i] for pair in pairs] for i in range(2))
            yield {
                "coded": torch.from_numpy(planes(coded)),
                "original": torch.from_numpy(planes(original)),
            }
            step += 1

    def _crop(self, clip: int, random: np.random.Generator) -> tuple[U8, U8]:
        side, store = self.options.side, self._train
        row = int(random.choice(store.of_clip[clip]))
        # On even pixels, as everywhere: the network works on blocks of two.
        x, y = (2 * random.integers(0, (SIDE - side) // 2 + 1, 2)).tolist()
        part = np.s_[y : y + side, x : x + side]
        coded, original = store.references[row][part], store.store.frames[store.frame[row]][part]
        if random.random() < 0.5:
            coded, original = coded[:, ::-1], original[:, ::-1]
        if random.random() < 0.3:
            curve = tone_curve(random)
            coded, original = toned_by(coded, curve), toned_by(original, curve)
        return np.ascontiguousarray(coded), np.ascontiguousarray(original)

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        restored = self._network(batch["coded"]).float()
        return looks_losses(self._looks, self.options, restored, batch["original"].float())

    @cached_property
    def _pairs(self) -> list[tuple[U8, U8]]:
        """Of the validation: coded and original pictures, each clip weighing as in training."""
        store, random = self._validate, np.random.default_rng(0)
        chances = store.chances(self.options.evenness)
        clips = random.choice(len(chances), self.options.validate_references, p=chances)
        rows = [int(random.choice(store.of_clip[int(clip)])) for clip in clips]
        frames = store.store.frames
        return [(np.array(store.references[r]), np.array(frames[store.frame[r]])) for r in rows]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: mean ratio of LPIPS and DISTS to the coded pictures', which begin ``coded_``."""
        shown = {
            "coded_": [coded for coded, _ in self._pairs],
            "": [_shown(network, coded) for coded, _ in self._pairs],
        }
        found = looks_scores(shown, [original for _, original in self._pairs], fast=True)
        ratios = [found[name] / found[f"coded_{name}"] for name in ("lpips", "dists")]
        return {"score": float(np.mean(ratios)), **found}

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of coded, restored, original."""
        pairs = self._pairs[:_ROWS]
        return np.vstack([np.hstack([a, _shown(network, a), b]) for a, b in pairs])


def _shown(network: nn.Module, picture: U8) -> U8:
    with torch.no_grad():
        found = network(torch.from_numpy(planes([picture])))[0]
    out = found.float().clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(out.permute(1, 2, 0).numpy())
