# SPDX-License-Identifier: Apache-2.0
"""Train the detector: made-up scenes in, a map of faces out."""

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

from talkcodec.errors import InputError
from talkcodec.face.networks import told_place
from talkcodec.face.place import Place
from talkcodec.models.detector import CELLS, PLACE, SIDE, DetectorNet
from talkcodec.types import F32, U8
from training.store import FrameStore, check_apart
from training.task import Batch
from training.tasks.faces import sampling_weights
from training.tasks.scenes import ScenePicture, scene

_CELL = SIDE / CELLS
_WHOLE = Place(SIDE / 2, SIDE / 2, SIDE)

#: Scenes that are measured at a time.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """``[task]``. ``train``, ``validate``: frame stores. ``empty``: share of pictures without a
    face. ``place``: weight of where faces are against whether there are any.
    ``validate_pictures``: how many made-up scenes are measured.
    """

    train: str
    validate: str
    empty: float = 0.3
    place: float = 1.0
    validate_pictures: int = 1000
    widths: tuple[int, int, int, int] = (12, 24, 32, 64)


class DetectorTask:
    """A ``Task``: one turn, ``"detector"``."""

    Options = DetectorOptions
    turns: tuple[str, ...] = ("detector",)

    def __init__(self, options: DetectorOptions) -> None:
        if options.validate_pictures < 1:
            raise InputError(
                f"expected task.validate_pictures of 1 or more, found {options.validate_pictures}"
            )
        self.options = options
        self._train = FrameStore.open(Path(options.train))
        self._validate = FrameStore.open(Path(options.validate))
        check_apart(self._train, self._validate)
        self._network: nn.Module | None = None

    @cached_property
    def _sums(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.cumsum(sampling_weights(self._train))

    def networks(self) -> dict[str, nn.Module]:
        return {"detector": DetectorNet(widths=self.options.widths)}

    def data(self) -> dict[str, Any]:
        return {"train": self._train.about(), "validate": self._validate.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["detector"]

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        while True:
            random = np.random.default_rng((seed, step, rank))
            scenes = []
            for _ in range(batch):
                index = int(np.searchsorted(self._sums, random.random() * self._sums[-1]))
                index = min(index, len(self._train) - 1)
                scenes.append(
                    scene(self._train, index, side=SIDE, empty=self.options.empty, random=random)
                )
            yield to_batch(scenes)
            step += 1

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        assert self._network is not None
        scores, places = self._network(batch["picture"])
        scores, places = scores.float(), places.float()
        heat, mask = batch["heat"], batch["mask"]
        count = mask.sum().clamp(min=1)
        found = focal(scores, heat, batch["care"]) / count
        off = nn.functional.smooth_l1_loss(places, batch["places"], reduction="none", beta=0.1)
        where = (off.sum(1) * mask).sum() / count
        return {"loss": found + self.options.place * where, "found": found, "place": where}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: misses at the threshold that one empty picture in a hundred passes, and a tenth
        of the places' error: a better map first, then a better aim.
        """
        random = np.random.default_rng(0)
        best: list[float] = []  # of empty pictures
        hits: list[float] = []  # the score at each face's own cell
        errors: list[float] = []
        total = self.options.validate_pictures
        for first in range(0, total, _AT_ONCE):
            scenes = [
                scene(
                    self._validate,
                    int(random.integers(len(self._validate))),
                    side=SIDE,
                    empty=self.options.empty,
                    random=random,
                )
                for _ in range(min(_AT_ONCE, total - first))
            ]
            batch = to_batch(scenes)
            scores, places = network(batch["picture"])
            for index, shown in enumerate(scenes):
                map_, where = scores[index].numpy(), places[index].numpy()
                if not shown.places and not shown.vague:
                    best.append(float(map_.max()))
                for place in shown.places:
                    x, y = (min(int(v / _CELL), CELLS - 1) for v in (place.x, place.y))
                    near = map_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                    hits.append(float(near.max()))
                    row, column = np.unravel_index(near.argmax(), near.shape)
                    at = (max(y - 1, 0) + int(row), max(x - 1, 0) + int(column))
                    errors.append(float(np.abs(where[:, *at] - target(place, at))[:3].mean()))
        threshold = float(np.quantile(best, 0.99)) if best else 0.0
        # Of few scenes none may show a face: nothing was found then, whatever the network.
        missed = float((np.array(hits) <= threshold).mean()) if hits else 1.0
        error = float(np.mean(errors)) if errors else 0.0
        return {
            "score": missed + 0.1 * error,
            "missed_at_1_percent": missed,
            "missed_at_half": float((np.array(hits) <= 0).mean()) if hits else 1.0,
            "false_at_half": float((np.array(best) > 0).mean()) if best else 0.0,
            "place": error,
        }

    def pictures(self, network: nn.Module) -> U8 | None:
        """Three rows of eight scenes with what is wanted (green) and found (red)."""
        random = np.random.default_rng(1)
        tiles = []
        for _ in range(24):
            index = int(random.integers(len(self._validate)))
            shown = scene(self._validate, index, side=SIDE, empty=0.2, random=random)
            scores, places = network(to_batch([shown])["picture"])
            picture = shown.picture.copy()
            for place in shown.places:
                outline(picture, place, (0, 220, 0))
            map_ = scores[0].numpy()
            for row, column in np.argwhere(map_ > 0):
                if (
                    map_[row, column]
                    == map_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max()
                ):
                    place = told_place(places[0].numpy(), int(row), int(column), _WHOLE)
                    outline(picture, place, (255, 40, 40))
            tiles.append(picture)
        return np.vstack([np.hstack(tiles[i : i + 8]) for i in range(0, 24, 8)])


def to_batch(scenes: list[ScenePicture]) -> Batch:
    """Return pictures and targets: ``heat`` (B, C, C) 0 to 1, ``places`` (B, 5, C, C), ``mask``
    (B, C, C) 1 where a face's place is told, ``care`` (B, C, C) 0 where the score is free.
    """
    count = len(scenes)
    heat = np.zeros((count, CELLS, CELLS), np.float32)
    care = np.ones((count, CELLS, CELLS), np.float32)
    mask = np.zeros((count, CELLS, CELLS), np.float32)
    places = np.zeros((count, PLACE, CELLS, CELLS), np.float32)
    rows, columns = np.mgrid[:CELLS, :CELLS]
    for index, shown in enumerate(scenes):
        for place in shown.vague:
            reach = np.maximum(
                np.abs((columns + 0.5) * _CELL - place.x), np.abs((rows + 0.5) * _CELL - place.y)
            )
            care[index][reach < max(place.side / 2, _CELL)] = 0
        for place in shown.places:
            x, y = (min(int(v / _CELL), CELLS - 1) for v in (place.x, place.y))
            # Gaussian about the cell; the larger the face the wider.
            sigma = max(place.side / _CELL / 8, 0.6)
            bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
            heat[index] = np.maximum(heat[index], bump)
            # The neighbours tell the place too: at the edge of two cells either may win.
            for row in range(max(y - 1, 0), min(y + 2, CELLS)):
                for column in range(max(x - 1, 0), min(x + 2, CELLS)):
                    if mask[index, row, column] and (row, column) != (y, x):
                        continue
                    mask[index, row, column] = 1.0
                    places[index, :, row, column] = target(place, (row, column))
    pictures = torch.from_numpy(np.stack([shown.picture for shown in scenes]))
    return {
        "picture": pictures.permute(0, 3, 1, 2),
        "heat": torch.from_numpy(heat),
        "places": torch.from_numpy(places),
        "mask": torch.from_numpy(mask),
        "care": torch.from_numpy(care),
    }


def target(place: Place, cell: tuple[int, int]) -> F32:
    """Return what the cell (row, column) says of ``place``: float32 (5,), as the network gives."""
    row, column = cell
    return np.array(
        [
            place.x / _CELL - column - 0.5,
            place.y / _CELL - row - 0.5,
            np.log(place.side / SIDE),
            np.cos(place.roll),
            np.sin(place.roll),
        ],
        np.float32,
    )


def focal(scores: Tensor, heat: Tensor, care: Tensor) -> Tensor:
    """Return CenterNet's loss: the middle is a face, what is near it nearly one, the rest none."""
    chance = scores.sigmoid()
    middle = (heat >= 1).float()
    yes = -((1 - chance) ** 2) * nn.functional.logsigmoid(scores) * middle
    no = -(chance**2) * nn.functional.logsigmoid(-scores) * (1 - heat) ** 4 * (1 - middle)
    out: Tensor = ((yes + no) * care).sum()
    return out


def outline(picture: U8, place: Place, colour: tuple[int, int, int]) -> None:
    """Draw ``place`` into ``picture``."""
    box = cv2.boxPoints(
        ((place.x, place.y), (place.side, place.side), float(np.degrees(place.roll)))
    )
    cv2.polylines(picture, [box.round().astype(np.int32)], isClosed=True, color=colour)
