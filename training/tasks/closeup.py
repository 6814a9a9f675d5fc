# SPDX-License-Identifier: Apache-2.0
"""Train what looks closely: a crop of the geometric picture beside what the camera saw there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from talkcodec.models.blocks import from_cells, to_cells
from talkcodec.models.closeup import CloseupNet, EyesNet, MouthNet
from talkcodec.motion.landmarks import (
    IRISES,
    LEFT_LID_GAP,
    LIP_GAP,
    RIGHT_LID_GAP,
)
from talkcodec.render.closeup import EYES_PART, MOUTH_PART, Part, window
from talkcodec.types import F64, U8
from training.checkpoint import begin_from
from training.coded import CodedStore
from training.losses import LooksLoss
from training.store import check_apart
from training.task import Batch
from training.tasks.driven import Group, Stager, mirrored, planes, toned
from training.tasks.generated import fixed_groups
from training.tasks.looks import looks_losses, looks_scores

#: Rows of the image grid.
_ROWS = 12
#: What every frame has of the chance to be drawn, beside the opening of its lips in distances
#: between the eyes, at most 0.5; and beside the share by which its eyes are shut.
_SHUT, _OPEN = 0.08, 0.25


@dataclass(frozen=True, slots=True)
class CloseupOptions:
    """``[task]``. ``train``, ``validate``: coded stores. ``frames``: drawn from each reference;
    ``bank``: references at most.

    Weights of the losses: ``near``, mean difference in 8-bit steps; ``dists``, ``features``,
    ``lpips``. ``evenness``: clips are drawn in proportion to their frames to this power.
    ``start``: weights of an earlier run to begin from. ``validate_groups``: references of the
    validation, two frames each. ``widths``: of the network.
    """

    train: str
    validate: str
    frames: int = 2
    bank: int = 3
    near: float = 0.03
    dists: float = 1.0
    features: float = 0.5
    lpips: float = 2.0
    evenness: float = 0.75
    start: str = ""
    validate_groups: int = 100
    widths: tuple[int, int, int] = (32, 64, 96)


class CloseupTask(ABC):
    """A ``Task`` of one turn, named after the part."""

    Options = CloseupOptions
    part: Part
    network: type[CloseupNet]

    def __init__(self, options: CloseupOptions) -> None:
        self.options = options
        self.turns = (self.part.name,)
        self._train = CodedStore.open(Path(options.train))
        self._validate = CodedStore.open(Path(options.validate))
        check_apart(self._train.store, self._validate.store)
        self._looks = LooksLoss()
        self._network: nn.Module = nn.Identity()

    def networks(self) -> dict[str, nn.Module]:
        network = self.network(widths=self.options.widths)
        if self.options.start:
            begin_from(Path(self.options.start), network)
        return {self.part.name: network}

    def data(self) -> dict[str, Any]:
        return {"train": self._train.store.about(), "validate": self._validate.store.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks[self.part.name]

    @cached_property
    def _stager(self) -> Stager:
        cv2.setNumThreads(1)
        return Stager(self._train, (self.part,))

    @cached_property
    def _chances(self) -> F64:
        return self._train.chances(self.options.evenness)

    @cached_property
    @abstractmethod
    def _interest(self) -> F64:
        """How often each frame of a clip is to be drawn, (N,)."""

    def _gaps(self, *pairs: tuple[int, int]) -> F64:
        """How far apart landmarks are in every frame, in distances between the irises: (N,)."""
        marks = self._train.tracked
        across, *gaps = (
            np.linalg.norm(marks[:, a, :2] - marks[:, b, :2], axis=-1)
            for a, b in ((IRISES[0], IRISES[5]), *pairs)
        )
        return np.asarray(np.mean(gaps, 0) / np.maximum(across, 1))

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        count = max(batch // self.options.frames, 1)
        while True:
            random = np.random.default_rng((seed, step, rank))
            clips = random.choice(len(self._chances), count, p=self._chances)
            yield batch_of([self._group(int(clip), random) for clip in clips], self.part)
            step += 1

    def _group(self, clip: int, random: np.random.Generator) -> Group:
        o, store = self.options, self._train
        rows = random.permutation(store.of_clip[clip])[: int(random.integers(1, o.bank + 1))]
        frames = np.flatnonzero(store.store.clip == clip).astype(np.int32)
        chances = self._interest[frames]
        again = len(frames) < o.frames
        chosen = random.choice(frames, o.frames, replace=again, p=chances / chances.sum())
        # Motion beyond the face does not reach mouth and eyes.
        group = self._stager.group(rows, chosen, np.zeros(o.frames, np.bool_))
        if random.random() < 0.5:
            group = mirrored(group)
        return toned(group, random) if random.random() < 0.3 else group

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        drawn = _drawn(self._network, batch["part"])
        return looks_losses(self._looks, self.options, drawn, batch["truth"].float())

    @cached_property
    def _fixed(self) -> Batch:
        groups = fixed_groups(self._validate, self.options.validate_groups, parts=(self.part,))
        return batch_of(groups, self.part)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: mean ratio to the warp's of LPIPS, DISTS and mean difference; ``warp_``: its."""
        found = looks_scores(self._both(network), _pictures(self._fixed["truth"]))
        ratios = [found[name] / found[f"warp_{name}"] for name in ("lpips", "dists", "near")]
        return {"score": float(np.mean(ratios)), **found}

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of the reference that tells most of the part, warped, painted, truth."""
        part = self._fixed["part"]
        both = self._both(network)
        columns = [_pictures(part[:, 5:8]), both["warp_"], both[""]]
        columns.append(_pictures(self._fixed["truth"]))
        rows = np.linspace(0, len(part) - 1, min(_ROWS, len(part))).astype(int)
        return np.vstack([np.hstack([column[row] for column in columns]) for row in rows])

    def _both(self, network: nn.Module) -> dict[str, list[U8]]:
        part = self._fixed["part"]
        with torch.no_grad():
            drawn = torch.cat([_drawn(network, part[i : i + 16]) for i in range(0, len(part), 16)])
        return {"warp_": _pictures(part[:, :3]), "": _pictures(drawn)}


class MouthTask(CloseupTask):
    """Frames with open mouths are drawn more often."""

    part, network = MOUTH_PART, MouthNet

    @cached_property
    def _interest(self) -> F64:
        return _SHUT + np.clip(self._gaps(LIP_GAP), 0, 0.5)


class EyesTask(CloseupTask):
    """Frames with eyes less open than usual in their clip are drawn more often."""

    part, network = EYES_PART, EyesNet

    @cached_property
    def _interest(self) -> F64:
        gaps, clip = self._gaps(LEFT_LID_GAP, RIGHT_LID_GAP), self._train.store.clip
        usual = {c: np.quantile(gaps[clip == c], 0.8) for c in np.unique(clip)}
        openness = gaps / np.maximum([usual[c] for c in clip], 1e-3)
        return np.asarray(_OPEN + np.clip(1 - openness, 0, 1))


def _drawn(network: nn.Module, part: Tensor) -> Tensor:
    """Return the crops (B, 3, H, W) as they will be seen, in 0 to 255."""
    height, width = part.shape[-2:]
    weight = torch.tensor(window(width, height), device=part.device)
    change = from_cells(network(to_cells(part)).float())
    drawn: Tensor = part[:, :3].float() + change * weight
    return drawn.clamp(0, 255)


def batch_of(groups: list[Group], part: Part) -> Batch:
    """Return ``part``, the planes uint8 (B, 9, H, W), and ``truth``, uint8 (B, 3, H, W)."""
    frames = [frame for group in groups for frame in group.frames]
    seen = [next(s for s in frame.staged.parts if s.part is part) for frame in frames]
    truth = [part.crop(frame.truth, s.box) for frame, s in zip(frames, seen, strict=True)]
    return {
        "part": torch.from_numpy(np.stack([s.planes for s in seen])),
        "truth": torch.from_numpy(planes(truth)),
    }


def _pictures(batch: Tensor) -> list[U8]:
    out = batch.float().clamp(0, 255).round().to(torch.uint8)
    return list(out.permute(0, 2, 3, 1).contiguous().numpy())
