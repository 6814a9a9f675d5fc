# SPDX-License-Identifier: Apache-2.0
"""Train the landmark network: crops as a call gives them in, the teacher's landmarks out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from talkcodec.face.place import Place
from talkcodec.models.tracker import SIDE, TrackerNet
from talkcodec.motion.landmarks import BROWS, EYELIDS, IRISES, LIPS
from talkcodec.types import F32, LANDMARKS, U8
from training.augment import CallAugmentation
from training.checkpoint import begin_from
from training.fold import unfold
from training.store import FrameStore, check_apart
from training.task import Batch
from training.tasks.faces import Jitter, Sample, empty_sample, face_sample, sampling_weights
from training.tasks.measure import Scores, openings

#: Points that get corrections from finer features.
FINE = tuple(sorted({*LIPS, *EYELIDS, *IRISES, *BROWS}))

# Narrower than this, in crop widths, the inter-ocular distance of a head turned aside would make
# its errors count for everything.
_LEAST_OCULAR = 0.14


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """``[task]``. ``train``, ``validate``: frame stores. ``empty``: share of crops without a face.

    ``lids``, ``lips``, ``irises``, ``brows``: weights of their points, others having 1.
    ``depth``: weight of z. ``openings``: weight of lip and lid openings. ``face``: weight of
    telling whether there is a face. ``start``: weights to begin from, of a run or folded ones that
    ship. ``validate_frames``: how many are measured.
    """

    train: str
    validate: str
    empty: float = 0.12
    lids: float = 3.0
    lips: float = 2.5
    irises: float = 3.0
    brows: float = 1.5
    depth: float = 0.3
    openings: float = 1.5
    face: float = 0.1
    start: str = ""
    validate_frames: int = 1000
    widths: tuple[int, ...] = (16, 32, 64, 80, 64)
    basis: int = 64


class TrackerTask:
    """A ``Task``: one turn, ``"tracker"``."""

    Options = TrackerOptions
    turns: tuple[str, ...] = ("tracker",)

    def __init__(self, options: TrackerOptions) -> None:
        self.options = options
        self._train = FrameStore.open(Path(options.train))
        self._validate = FrameStore.open(Path(options.validate))
        check_apart(self._train, self._validate)
        self._network: nn.Module | None = None
        self._weights = _point_weights(options)

    @cached_property
    def _sums(self) -> F32:
        """Running sums of the sampling weights, to draw by bisection."""
        return np.cumsum(sampling_weights(self._train))

    def networks(self) -> dict[str, nn.Module]:
        network = TrackerNet(basis=self.options.basis, fine_points=FINE, widths=self.options.widths)
        network.start_from(*self._shapes(self.options.basis))
        if self.options.start:
            begin_from(Path(self.options.start), network)
            crops = next(self.loader(batch=64, seed=0, step=0, rank=0, world=1))["crop"]
            unfold(network, lambda: network(crops))
        return {"tracker": network}

    def _shapes(self, basis: int) -> tuple[Tensor, Tensor]:
        """Return the mean of well-cut training faces and their principal components."""
        every = max(len(self._train) // 4000, 1)
        marks = self._train.landmarks[::every]
        flat = np.stack([Place.around(m).to_crop(m) for m in marks]).reshape(len(marks), -1)
        mean = flat.mean(0)
        _, scale, rows = np.linalg.svd(flat - mean, full_matrices=False)
        count = min(basis, len(rows))
        shapes = np.zeros((basis, flat.shape[1]), np.float32)
        shapes[:count] = rows[:count] * (scale[:count, None] / np.sqrt(len(marks)))
        return (
            torch.from_numpy(mean.reshape(LANDMARKS, 3)),
            torch.from_numpy(shapes.reshape(basis, LANDMARKS, 3)),
        )

    def data(self) -> dict[str, Any]:
        return {"train": self._train.about(), "validate": self._validate.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["tracker"]

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        while True:
            random = np.random.default_rng((seed, step, rank))
            yield _batch([self._sample(random) for _ in range(batch)])
            step += 1

    def _sample(self, random: np.random.Generator) -> Sample:
        index = int(np.searchsorted(self._sums, random.random() * self._sums[-1]))
        index = min(index, len(self._train) - 1)
        if random.random() < self.options.empty:
            return empty_sample(self._train, index, side=SIDE, random=random)
        return face_sample(
            self._train,
            index,
            side=SIDE,
            jitter=Jitter(),
            chances=CallAugmentation(),
            random=random,
        )

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        assert self._network is not None
        landmarks, extras = self._network(batch["crop"])
        landmarks, extras = landmarks.float(), extras.float()
        face, target = batch["face"], batch["landmarks"]
        count = face.sum().clamp(min=1)
        gap = target[:, IRISES[0], :2] - target[:, IRISES[5], :2]
        ocular = gap.norm(dim=-1).clamp(min=_LEAST_OCULAR)
        off = (landmarks - target) / ocular[:, None, None]
        # Near nothing a distance has no slope: its square takes over below 0.3 %.
        distance = (off[..., :2].square().sum(-1) + 1e-5).sqrt()
        weights = self._weights.to(distance.device)
        points = ((distance * weights).mean(1) * face).sum() / count
        depth = (off[..., 2].abs().mean(1) * face).sum() / count
        wanted = openings(target)
        shown = (openings(landmarks, target) - wanted).abs().mean(1)
        told = (extras[:, 1:] - wanted).abs().mean(1)
        opened = ((shown + told) * face).sum() / count
        present = nn.functional.binary_cross_entropy_with_logits(extras[:, 0], face)
        o = self.options
        loss = points + o.depth * depth + o.openings * opened + o.face * present
        return {
            "loss": loss,
            "points": points,
            "depth": depth,
            "openings": opened,
            "face": present,
        }

    def validate(self, network: nn.Module) -> dict[str, float]:
        scores = Scores()
        for crops, targets, _ in self._validation():
            landmarks, extras = network(torch.from_numpy(crops))
            scores.add(landmarks.float().numpy(), targets, extras.float().numpy())
        return scores.values()

    def _validation(self, batch: int = 50) -> Iterator[tuple[U8, F32, list[int]]]:
        """Yield crops (B, 3, S, S), slightly off as in tracking, and their landmarks."""
        random = np.random.default_rng(0)
        chosen = np.linspace(0, len(self._validate) - 1, self.options.validate_frames).astype(int)
        for start in range(0, len(chosen), batch):
            indices = [int(i) for i in chosen[start : start + batch]]
            crops, targets = [], []
            for index in indices:
                marks = self._validate.landmarks[index]
                right = Place.around(marks)
                place = Place(
                    right.x + random.normal(0, 0.02) * right.side,
                    right.y + random.normal(0, 0.02) * right.side,
                    right.side * float(np.exp(random.normal(0, 0.03))),
                    right.roll + random.normal(0, 0.03),
                )
                crops.append(place.crop(np.ascontiguousarray(self._validate.frames[index]), SIDE))
                targets.append(place.to_crop(marks))
            yield np.stack(crops).transpose(0, 3, 1, 2).copy(), np.stack(targets), indices

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of eight faces from all over: landmarks of the teacher green, ours red."""
        total = self.options.validate_frames
        tiles: list[U8] = []
        for number, (crops, targets, _) in enumerate(self._validation(batch=8)):
            if number % max(total // 32, 1):
                continue
            landmarks = network(torch.from_numpy(crops))[0].float().numpy()
            tiles += [
                draw(crop.transpose(1, 2, 0), target, found)
                for crop, target, found in zip(crops, targets, landmarks, strict=True)
            ]
        rows = [np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles) - 7, 8)]
        return np.vstack(rows) if rows else None


def draw(crop: U8, target: F32, found: F32, scale: int = 2) -> U8:
    """Return ``crop`` enlarged, with both sets of landmarks (478, 3) in crop widths on it."""
    out = np.repeat(np.repeat(np.ascontiguousarray(crop), scale, 0), scale, 1)
    for points, colour in ((target, (0, 220, 0)), (found, (255, 40, 40))):
        for x, y in (points[list(FINE), :2] + 0.5) * out.shape[0]:
            cv2.circle(out, (round(float(x)), round(float(y))), 1, colour, -1)
    return out


def _point_weights(options: TrackerOptions) -> Tensor:
    """Return float32 (478,), with mean 1."""
    weights = torch.ones(LANDMARKS)
    for points, weight in (
        (BROWS, options.brows),
        (LIPS, options.lips),
        (EYELIDS, options.lids),
        (IRISES, options.irises),
    ):
        weights[list(points)] = weight
    return weights / weights.mean()


def _batch(samples: list[Sample]) -> Batch:
    crops = torch.from_numpy(np.stack([sample.crop for sample in samples]))
    return {
        "crop": crops.permute(0, 3, 1, 2),  # a view, in the order that convolutions read
        "landmarks": torch.from_numpy(np.stack([sample.landmarks for sample in samples])),
        "face": torch.tensor([sample.face for sample in samples], dtype=torch.float32),
    }
