# SPDX-License-Identifier: Apache-2.0
"""Train the generator: restorer, motion and painter together, on what a call would give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from talkcodec.models.generator import DRIVE_SIDE, GeneratorNet
from talkcodec.types import CANVAS, F64, U8
from training.coded import CodedStore
from training.losses import LooksLoss
from training.store import check_apart
from training.task import Batch
from training.tasks.driven import Stager, collate, draw_group
from training.tasks.generated import Comparison, fixed_groups


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """``[task]``. ``train``, ``validate``: coded stores. ``frames``: drawn from each reference.

    Weights of the losses: ``near``, mean difference in 8-bit steps, ``features`` of it (mouth and
    eyes count by ``regions``); ``dists``, ``features``, ``lpips`` on crops of ``side`` pixels;
    ``warp``, mean difference before painting; ``restored``, mean difference of the reference;
    ``doubt``. ``validate_groups``: references of the validation, two frames each.
    """

    train: str
    validate: str
    frames: int = 2
    near: float = 0.03
    regions: float = 4.0
    dists: float = 1.0
    features: float = 0.5
    lpips: float = 0.3
    warp: float = 0.02
    restored: float = 0.01
    doubt: float = 0.02
    side: int = 96
    validate_groups: int = 40
    widths: tuple[int, int, int] = (24, 48, 80)
    width: int = 16
    blocks: int = 1
    restorer: int = 24


class GeneratorTask:
    """A ``Task``: one turn, ``"generator"``."""

    Options = GeneratorOptions
    turns: tuple[str, ...] = ("generator",)

    def __init__(self, options: GeneratorOptions) -> None:
        self.options = options
        self._train = CodedStore.open(Path(options.train))
        self._validate = CodedStore.open(Path(options.validate))
        check_apart(self._train.store, self._validate.store)
        self._looks = LooksLoss()
        self._network: nn.Module | None = None

    def networks(self) -> dict[str, nn.Module]:
        o = self.options
        return {
            "generator": GeneratorNet(
                widths=o.widths, width=o.width, blocks=o.blocks, restorer=o.restorer
            )
        }

    def data(self) -> dict[str, Any]:
        return {"train": self._train.store.about(), "validate": self._validate.store.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["generator"]

    @cached_property
    def _stager(self) -> Stager:
        cv2.setNumThreads(1)
        return Stager(self._train)

    @cached_property
    def _chances(self) -> F64:
        """Of each clip: a long one shows more, but no hundred times more, than a short one."""
        frames = np.bincount(self._train.store.clip)
        chances = np.sqrt(frames)
        return np.asarray(chances / chances.sum())

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        count = self.options.frames
        while True:
            random = np.random.default_rng((seed, step, rank))
            clips = random.choice(len(self._chances), max(batch // count, 1), p=self._chances)
            groups = [
                draw_group(self._stager, self._train, int(clip), count, random) for clip in clips
            ]
            made = {k: torch.from_numpy(v) for k, v in collate(groups).items()}
            made["corners"] = torch.from_numpy(_corners(made["places"], self.options.side, random))
            yield made
            step += 1

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        assert self._network is not None
        made, o = self._network(batch), self.options
        painted, truth = made["painted"].float(), batch["truth"].float()
        off = (painted - truth).abs().mean(1)
        regions = 1 + o.regions * _regions(batch["drive"])
        near = (off * regions).mean() / regions.mean()
        warped = (made["warped"] - truth).abs().mean()
        restored = (made["restored"].float() - batch["original"].float()).abs().mean()
        looks = self._looks(
            _crops(painted, batch["corners"], o.side), _crops(truth, batch["corners"], o.side)
        )
        face = batch["drive"][:, 4:].float() / 255
        face = nnf.interpolate(face, scale_factor=2)[:, 0]
        within = (off * face).sum((1, 2)) / face.sum((1, 2)).clamp(min=1)
        true = torch.stack([off.mean((1, 2)), within], 1).detach()
        doubt = (made["doubt"].float() - true.clamp(min=0.1).log()).abs().mean()
        loss = (
            o.near * near
            + o.warp * warped
            + o.restored * restored
            + o.dists * looks.dists
            + o.features * looks.features
            + o.lpips * looks.lpips
            + o.doubt * doubt
        )
        return {
            "loss": loss,
            "near": near,
            "warped": warped,
            "restored": restored,
            "dists": looks.dists,
            "features": looks.features,
            "lpips": looks.lpips,
            "doubt": doubt,
        }

    @cached_property
    def _comparison(self) -> Comparison:
        return Comparison(fixed_groups(self._validate, self.options.validate_groups))

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: LPIPS + DISTS + differences in mouth and eyes, each relative to the warp's."""
        return self._comparison.measure(network)

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of four frames: reference as coded, warped, painted, truth."""
        return self._comparison.sheet(network)


def _regions(drive: Tensor) -> Tensor:
    """Return where lips and eyes are, a little beyond included: float (B, 256, 256), 0 or 1."""
    parts = torch.maximum(drive[:, 1], drive[:, 2]).float()[:, None] / 255
    wide = nnf.max_pool2d(parts, 7, 1, 3)
    return nnf.interpolate(wide, scale_factor=CANVAS // DRIVE_SIDE)[:, 0]


def _corners(places: Tensor, side: int, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return where crops begin, int64 (B, 2) as (x, y): half about mouth or eyes, half anywhere."""
    corners = random.integers(0, CANVAS - side + 1, (len(places), 2))
    for row, place in enumerate(places.numpy()):
        if random.random() < 0.5:
            centre = place[int(random.integers(2))] + random.normal(0, 12, 2)
            corners[row] = np.clip(np.rint(centre - side / 2), 0, CANVAS - side)
    return corners


def _crops(pictures: Tensor, corners: Tensor, side: int) -> Tensor:
    return torch.stack(
        [
            picture[:, y : y + side, x : x + side]
            for picture, (x, y) in zip(pictures, corners.tolist(), strict=True)
        ]
    )
