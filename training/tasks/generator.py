# SPDX-License-Identifier: Apache-2.0
"""Train the generator: motion and painter together, on what a call would give them."""

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
from training.checkpoint import begin_from, begin_from_parts
from training.coded import CodedStore
from training.discriminators import (
    Discriminators,
    fooling_loss,
    matching_loss,
    verdict_loss,
)
from training.fold import unfold
from training.judges import IdentityLoss, LandmarkLoss
from training.losses import LooksLoss
from training.store import check_apart
from training.task import Batch
from training.tasks.driven import Draw, Stager, collate, draw_group
from training.tasks.generated import Comparison, fixed_groups


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """``[task]``. ``train``, ``validate``: coded stores. ``frames``: drawn from each reference;
    ``bank``: references at most; ``windows``: share of groups whose frames follow one another;
    ``far``: share drawn far from their reference.

    Weights of the losses: ``near``, mean difference in 8-bit steps (in mouth and eyes ``regions``
    times more); ``dists``, ``features``, ``lpips`` on crops of ``side`` pixels; ``warp``, mean
    difference before painting; ``landmarks``, distance of what the
    tracker sees; ``identity``; ``temporal``, difference of the changes within windows;
    ``adversarial`` and ``matching``, by discriminators of ``judges`` channels; ``doubt``.
    ``evenness``: clips are drawn in proportion to their frames to this power. ``start``: weights
    of an earlier run to begin from, or the folder of what ships. ``focus``: share of crops about
    mouth or eyes. ``validate_groups``: references of the validation, two frames
    each.
    """

    train: str
    validate: str
    frames: int = 2
    bank: int = 4
    windows: float = 0.0
    far: float = 0.0
    near: float = 0.02
    regions: float = 4.0
    dists: float = 2.0
    features: float = 0.5
    lpips: float = 2.0
    warp: float = 0.02
    landmarks: float = 4.0
    identity: float = 0.0
    temporal: float = 0.0
    adversarial: float = 0.0
    matching: float = 0.0
    doubt: float = 0.02
    side: int = 96
    focus: float = 0.5
    evenness: float = 0.75
    start: str = ""
    validate_groups: int = 40
    widths: tuple[int, int, int] = (24, 48, 80)
    width: int = 16
    blocks: int = 1
    judges: int = 32

    @property
    def judged(self) -> bool:
        """Whether there are discriminators."""
        return self.adversarial > 0 or self.matching > 0


class GeneratorTask:
    """A ``Task``: turns ``"generator"`` and, if anything weighs them, ``"discriminators"``."""

    Options = GeneratorOptions

    def __init__(self, options: GeneratorOptions) -> None:
        self.options = options
        self.turns: tuple[str, ...] = ("generator", "discriminators")[: 1 + options.judged]
        self._train = CodedStore.open(Path(options.train))
        self._validate = CodedStore.open(Path(options.validate))
        check_apart(self._train.store, self._validate.store)
        self._looks = LooksLoss()
        self._landmarks = LandmarkLoss() if options.landmarks else None
        self._identity = IdentityLoss() if options.identity else None
        self._networks: Mapping[str, nn.Module] = {}
        self._painted: Tensor | None = None  # of this step, for the discriminators' turn

    def networks(self) -> dict[str, nn.Module]:
        o = self.options
        generator = GeneratorNet(widths=o.widths, width=o.width, blocks=o.blocks)
        if o.start and Path(o.start).is_dir():
            begin_from_parts(Path(o.start), generator)
            batch = next(self.loader(batch=64, seed=0, step=0, rank=0, world=1))
            unfold(generator, lambda: generator(batch))
        elif o.start:
            begin_from(Path(o.start), generator)
        made: dict[str, nn.Module] = {"generator": generator}
        if o.judged:
            made["discriminators"] = Discriminators(width=o.judges)
        return made

    def data(self) -> dict[str, Any]:
        return {"train": self._train.store.about(), "validate": self._validate.store.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._networks = networks

    @cached_property
    def _stager(self) -> Stager:
        cv2.setNumThreads(1)
        return Stager(self._train)

    @cached_property
    def _chances(self) -> F64:
        return self._train.chances(self.options.evenness)

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        o = self.options
        how = Draw(o.frames, o.bank, o.windows, o.far)
        while True:
            random = np.random.default_rng((seed, step, rank))
            clips = random.choice(len(self._chances), max(batch // o.frames, 1), p=self._chances)
            groups = [draw_group(self._stager, self._train, int(c), how, random) for c in clips]
            made = {k: torch.from_numpy(v) for k, v in collate(groups).items()}
            made["corners"] = torch.from_numpy(_corners(made["places"], o, random))
            yield made
            step += 1

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del step
        if turn == "discriminators":
            return self._verdict(batch)
        made, o = self._networks["generator"](batch), self.options
        painted, truth = made["painted"].float(), batch["truth"].float()
        self._painted = painted.detach()
        off = (painted - truth).abs().mean(1)
        corners = batch["corners"]
        looks = self._looks(_crops(painted, corners, o.side), _crops(truth, corners, o.side))
        terms = {
            "near": _weighed(off, 1 + o.regions * _regions(batch["drive"])),
            "warp": (made["warped"] - truth).abs().mean(),
            "dists": looks.dists,
            "features": looks.features,
            "lpips": looks.lpips,
            "doubt": _doubt_loss(made["doubt"].float(), off.detach(), batch["drive"]),
        }
        if self._landmarks is not None:
            terms["landmarks"] = self._landmarks(painted, truth, batch["face"])
        if self._identity is not None:
            terms["identity"] = self._identity(painted, truth, batch["face"])
        if o.temporal:
            terms["temporal"] = _temporal_loss(painted, truth, batch["window"])
        if o.judged:
            terms |= self._judged(painted, truth, batch)
        weighed = [getattr(o, name) * value for name, value in terms.items()]
        return {"loss": torch.stack(weighed).sum(), **terms}

    def _judged(self, painted: Tensor, truth: Tensor, batch: Batch) -> dict[str, Tensor]:
        judges = self._networks["discriminators"]
        drawn = judges(painted, batch["drive"], batch["places"])
        with torch.no_grad():
            real = judges(truth, batch["drive"], batch["places"])
        return {"adversarial": fooling_loss(drawn), "matching": matching_loss(real, drawn)}

    def _verdict(self, batch: Batch) -> dict[str, Tensor]:
        assert self._painted is not None  # the generator's turn comes first
        judges = self._networks["discriminators"]
        drive, places = batch["drive"], batch["places"]
        real = judges(batch["truth"].float(), drive, places)
        return {"loss": verdict_loss(real, judges(self._painted, drive, places))}

    @cached_property
    def _comparison(self) -> Comparison:
        return Comparison(fixed_groups(self._validate, self.options.validate_groups))

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: mean ratio to the warp's of LPIPS, DISTS, and differences in mouth and eyes."""
        return self._comparison.measure(network)

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of four pictures: reference, warped, painted, truth."""
        return self._comparison.sheet(network)


def _weighed(off: Tensor, weights: Tensor) -> Tensor:
    return (off * weights).mean() / weights.mean()


def _doubt_loss(doubt: Tensor, off: Tensor, drive: Tensor) -> Tensor:
    """Return how far ``doubt`` (B, 2) is from the logarithms of the true errors."""
    face = nnf.interpolate(drive[:, 4:].float() / 255, scale_factor=2)[:, 0]
    within = (off * face).sum((1, 2)) / face.sum((1, 2)).clamp(min=1)
    true = torch.stack([off.mean((1, 2)), within], 1)
    return (doubt - true.clamp(min=0.1).log()).abs().mean()


def _temporal_loss(painted: Tensor, truth: Tensor, window: Tensor) -> Tensor:
    """Return how unlike the changes from frame to frame are, in groups that are windows."""
    count = len(painted) // len(window)
    drawn, real = (x.view(len(window), count, *x.shape[1:]) for x in (painted, truth))
    change = (drawn[:, 1:] - drawn[:, :-1]) - (real[:, 1:] - real[:, :-1])
    return change.abs().mean((1, 2, 3, 4)).mul(window).sum() / window.sum().clamp(min=1)


def _regions(drive: Tensor) -> Tensor:
    """Return where lips and eyes are, a little beyond included: float (B, 256, 256), 0 or 1."""
    parts = torch.maximum(drive[:, 1], drive[:, 2]).float()[:, None] / 255
    wide = nnf.max_pool2d(parts, 7, 1, 3)
    return nnf.interpolate(wide, scale_factor=CANVAS // DRIVE_SIDE)[:, 0]


def _corners(
    places: Tensor, o: GeneratorOptions, random: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Return where crops begin, int64 (B, 2) as (x, y)."""
    side = o.side
    corners = random.integers(0, CANVAS - side + 1, (len(places), 2))
    for row, place in enumerate(places.numpy()):
        if random.random() < o.focus:
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
