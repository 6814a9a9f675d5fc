# SPDX-License-Identifier: Apache-2.0
"""Train what reads lips, lids and irises: their crops, as far off as they are in a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from talkcodec.face.details import DETAILS
from talkcodec.face.place import Place
from talkcodec.models.details import EYE_SIDE, MOUTH_SIDE, DetailsNet
from talkcodec.motion.landmarks import (
    LIP_GAP,
    RIGHT_EYE,
    RIGHT_LID_GAP,
    inter_ocular,
)
from talkcodec.types import CANVAS, F32, U8
from training.augment import CallAugmentation, augment_call
from training.augment.bend import bent
from training.checkpoint import begin_from
from training.store import FrameStore, check_apart
from training.task import Batch
from training.tasks.faces import Jitter, sampling_weights, varied
from training.tasks.measure import Scores

#: How far crops are from where they should be: standard deviations of the shift and of the size's
#: logarithm, in sides and natural logarithms, and of the roll, radians. The tracker's errors.
_SHIFT, _SCALE, _ROLL = 0.035, 0.05, 0.05
#: Crops of each part from a spoilt picture, for that takes three times as long to make.
_VIEWS = 2

# Narrower than this, in sides of the face's place, the inter-ocular distance of a head turned
# aside would make its errors count for everything.
_LEAST_OCULAR = 0.14


@dataclass(frozen=True, slots=True)
class DetailsOptions:
    """``[task]``. ``train``, ``validate``: frame stores.

    ``openings``: weight of lip and lid openings; ``irises``: of an iris' points, a lid's having 1.
    ``start``: weights of an earlier run to begin from. ``validate_frames``: how many are measured.
    ``mouth``, ``eye``, ``hidden``: widths of the networks.
    """

    train: str
    validate: str
    openings: float = 1.5
    irises: float = 1.5
    start: str = ""
    validate_frames: int = 1000
    mouth: tuple[int, int, int, int] = (12, 24, 32, 48)
    eye: tuple[int, int, int, int] = (12, 20, 32, 48)
    hidden: tuple[int, int] = (64, 48)


#: By name: uint8 (3, S, S) crops, float32 (N, 2) points, float32 (2,) ``ocular``.
Crops = dict[str, npt.NDArray[Any]]


class DetailsTask:
    """A ``Task``: one turn, ``"details"``."""

    Options = DetailsOptions
    turns: tuple[str, ...] = ("details",)

    def __init__(self, options: DetailsOptions) -> None:
        self.options = options
        self._train = FrameStore.open(Path(options.train))
        self._validate = FrameStore.open(Path(options.validate))
        check_apart(self._train, self._validate)
        self._network: nn.Module = nn.Identity()

    def networks(self) -> dict[str, nn.Module]:
        o = self.options
        network = DetailsNet(mouth=o.mouth, eye=o.eye, hidden=o.hidden)
        if o.start:
            begin_from(Path(o.start), network)
        else:
            marks = self._train.landmarks[:: max(len(self._train) // 2000, 1)]
            for part, detail in ((network.mouth, DETAILS[0]), (network.eye, DETAILS[1])):
                told = [detail.to_crop(m, detail.place(m, Place.around(m))) for m in marks]
                part.start_from(torch.from_numpy(np.mean(told, 0)))
        return {"details": network}

    def data(self) -> dict[str, Any]:
        return {"train": self._train.about(), "validate": self._validate.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["details"]

    @cached_property
    def _sums(self) -> F32:
        """Running sums of the sampling weights, to draw by bisection."""
        return np.cumsum(sampling_weights(self._train))

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        cv2.setNumThreads(1)
        while True:
            random = np.random.default_rng((seed, step, rank))
            samples = [s for _ in range(-(-batch // _VIEWS)) for s in self._samples(random)]
            yield _batch(samples[:batch])
            step += 1

    def _samples(self, random: np.random.Generator) -> list[Crops]:
        index = int(np.searchsorted(self._sums, random.random() * self._sums[-1]))
        index = min(index, len(self._train) - 1)
        picture, marks = spoilt(self._train, index, random)
        return [cut(picture, marks, lambda place: _off(place, random)) for _ in range(_VIEWS)]

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        lips, right, left = (x.float() for x in self._network(*(batch[d.name] for d in DETAILS)))
        ocular = batch["ocular"]
        mouth, opened = _off_by(lips, batch["mouth_points"], ocular[:, 0], _LIP_PAIR, None)
        weights = torch.ones(right.shape[1], device=right.device)
        weights[len(RIGHT_EYE) :] = self.options.irises
        eyes = torch.cat([right, left])
        truth = torch.cat([batch["right_points"], batch["left_points"]])
        lids, blinked = _off_by(eyes, truth, ocular[:, 1].repeat(2), _LID_PAIR, weights)
        loss = mouth + lids + self.options.openings * (opened + blinked)
        return {"loss": loss, "lips": mouth, "eyes": lids, "opened": opened, "blinked": blinked}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: mean error of lips, lids and irises, in shares of the inter-ocular distance."""
        scores = Scores()
        for batch, marks, places in self._validation():
            found = marks.copy()
            told = [x.float().numpy() for x in network(*(batch[d.name] for d in DETAILS))]
            for row, (landmarks, where) in enumerate(zip(found, places, strict=True)):
                for detail, points, place in zip(DETAILS, told, where, strict=True):
                    landmarks[list(detail.points), :2] = detail.to_picture(points[row], place)
            scores.add(found, marks)
        values = scores.values()
        values["score"] = float(np.mean([values[name] for name in ("lips", "lids", "irises")]))
        return values

    def _validation(self, size: int = 50) -> Iterator[tuple[Batch, F32, list[list[Place]]]]:
        """Yield crops, slightly off as in tracking, landmarks (B, 478, 3), and the places."""
        random = np.random.default_rng(0)
        store = self._validate
        chosen = np.linspace(0, len(store) - 1, self.options.validate_frames).astype(int)
        for start in range(0, len(chosen), size):
            indices = chosen[start : start + size]
            places: list[list[Place]] = []
            samples = []
            for index in indices:
                kept: list[Place] = []

                def off(place: Place, kept: list[Place] = kept) -> Place:
                    kept.append(_off(place, random, 0.6))
                    return kept[-1]

                picture = np.ascontiguousarray(store.frames[index])
                samples.append(cut(picture, store.landmarks[index], off))
                places.append(kept)
            yield _batch(samples), store.landmarks[indices], places

    def pictures(self, network: nn.Module) -> U8 | None:
        """Rows of mouths and eyes: points of the teacher green, ours red."""
        tiles: list[U8] = []
        for number, (batch, _, _) in enumerate(self._validation()):
            if number % max(self.options.validate_frames // 400, 1):
                continue
            told = network(*(batch[d.name] for d in DETAILS))
            for row in range(0, len(batch["mouth"]), 7):
                tiles += [
                    _drawn(batch[d.name][row], batch[f"{d.name}_points"][row], points[row].float())
                    for d, points in zip(DETAILS, told, strict=True)
                ]
        rows = [np.hstack(tiles[i : i + 12]) for i in range(0, len(tiles) - 11, 12)]
        return np.vstack(rows) if rows else None


#: Rows of a detail's points whose distance is an opening.
_LIP_PAIR = tuple(DETAILS[0].points.index(i) for i in LIP_GAP)
_LID_PAIR = tuple(DETAILS[1].points.index(i) for i in RIGHT_LID_GAP)


def spoilt(store: FrameStore, index: int, random: np.random.Generator) -> tuple[U8, F32]:
    """Return frame ``index`` as another person's in a bad call: uint8 (256, 256, 3), and its
    landmarks, float32 (478, 3) in pixels.
    """
    jitter = Jitter()
    picture, marks = varied(store, index, jitter, random)
    if random.random() < jitter.bent:
        picture, sides = bent(picture, (marks / CANVAS - 0.5).astype(np.float32), random)
        marks = np.column_stack([(sides[:, :2] + 0.5) * CANVAS, marks[:, 2]]).astype(np.float32)
    other = store.frames[int(random.integers(len(store)))]
    return augment_call(picture, marks[:, :2], other, CallAugmentation(), random), marks


def cut(picture: U8, marks: F32, off: Callable[[Place], Place]) -> Crops:
    """Return crops and points of all details at places that ``off`` moves, and ``ocular``: the
    inter-ocular distance in sides of the mouth's and of the eyes' crops.
    """
    face = Place.around(marks)
    ocular = max(float(inter_ocular(marks)) / face.side, _LEAST_OCULAR) * face.side
    out: Crops = {}
    sides = []
    for detail, side in zip(DETAILS, _SIDES, strict=True):
        place = off(detail.place(marks, face))
        out[detail.name] = detail.crop(picture, place, side)[0]
        out[f"{detail.name}_points"] = detail.to_crop(marks, place)
        sides.append(ocular / place.side)
    return out | {"ocular": np.array([sides[0], (sides[1] + sides[2]) / 2], np.float32)}


#: Of the crops, by detail.
_SIDES = (MOUTH_SIDE, EYE_SIDE, EYE_SIDE)


def _off(place: Place, random: np.random.Generator, by: float = 1.0) -> Place:
    """Return where a tracker would look instead of ``place``; after a jump it is far off."""
    wide = by * (2.5 if random.random() < 0.1 else 1.0)
    x, y = random.normal(0, _SHIFT * wide, 2) * place.side
    size = float(np.exp(random.normal(0, _SCALE * wide)))
    roll = place.roll + random.normal(0, _ROLL * wide)
    return Place(place.x + x, place.y + y, place.side * size, roll)


def _off_by(
    found: Tensor, truth: Tensor, ocular: Tensor, pair: tuple[int, ...], weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the mean distance of points (B, N, 2), and by how much the opening between ``pair``
    is wrong, in inter-ocular distances (B,).
    """
    # Near nothing a distance has no slope: its square takes over below 0.3 %.
    distance = ((found - truth).square().sum(-1) / ocular[:, None].square() + 1e-5).sqrt()
    if weights is not None:
        distance = distance * weights / weights.mean()
    gaps = [
        ((x[:, pair[0]] - x[:, pair[1]]).square().sum(-1) + 1e-9).sqrt() for x in (found, truth)
    ]
    return distance.mean(), ((gaps[0] - gaps[1]).abs() / ocular).mean()


def _batch(samples: list[Crops]) -> Batch:
    return {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}


def _drawn(crop: Tensor, truth: Tensor, found: Tensor, side: int = 128) -> U8:
    out = cv2.resize(crop.permute(1, 2, 0).numpy(), (side, side), interpolation=cv2.INTER_CUBIC)
    for points, colour in ((truth, (0, 220, 0)), (found, (255, 40, 40))):
        for x, y in ((points + 0.5) * side).tolist():
            cv2.circle(out, (round(x), round(y)), 1, colour, -1)
    return np.asarray(out, np.uint8)
