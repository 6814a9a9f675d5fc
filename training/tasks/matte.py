# SPDX-License-Identifier: Apache-2.0
"""Train the matte: a picture of a person in, where that person is out, as the teacher saw it."""

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
from talkcodec.models.matte import MATTE_SIDE, SIDE, MatteNet
from talkcodec.types import CANVAS, F64, U8
from training.augment import CallAugmentation, augment_call
from training.store import FrameStore, check_apart
from training.task import Batch
from training.tasks.driven import planes
from training.tasks.faces import sampling_weights

#: What a reference may have suffered. Nothing lies before the face: the teacher did not see it.
_SUFFERED = CallAugmentation(
    glasses=0, glare=0, occluder=0, occluded_mouth=0, vp8=0.4, low_light=0.03, noise=0.08
)
#: Pictures on the image grid, and those that are measured at a time.
_SHOWN, _AT_ONCE = 16, 50


@dataclass(frozen=True, slots=True)
class MatteOptions:
    """``[task]``. ``train``, ``validate``: frame stores with masks. ``shift``: in picture widths,
    ``scale``: in natural logarithms: standard deviations of where a picture is cut.
    ``validate_frames``: of how many.
    """

    train: str
    validate: str
    shift: float = 0.05
    scale: float = 0.12
    validate_frames: int = 400
    widths: tuple[int, int, int, int] = (16, 24, 48, 64)


class MatteTask:
    """A ``Task``: one turn, ``"matte"``."""

    Options = MatteOptions
    turns: tuple[str, ...] = ("matte",)

    def __init__(self, options: MatteOptions) -> None:
        self.options = options
        self._train, self._validate = (
            _masked(Path(folder)) for folder in (options.train, options.validate)
        )
        check_apart(self._train, self._validate)
        self._network: nn.Module = nn.Identity()

    def networks(self) -> dict[str, nn.Module]:
        return {"matte": MatteNet(widths=self.options.widths)}

    def data(self) -> dict[str, Any]:
        return {"train": self._train.about(), "validate": self._validate.about()}

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        self._network = networks["matte"]

    @cached_property
    def _sums(self) -> F64:
        return np.cumsum(sampling_weights(self._train))

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        del world  # the rank alone makes the draws differ
        while True:
            random = np.random.default_rng((seed, step, rank))
            drawn = np.searchsorted(self._sums, random.random(batch) * self._sums[-1])
            drawn = np.minimum(drawn, len(self._train) - 1)
            yield to_batch([self._sample(int(index), random) for index in drawn])
            step += 1

    def _sample(self, index: int, random: np.random.Generator) -> tuple[U8, U8]:
        """Return a picture (128, 128, 3) and its mask (64, 64), cut alike; it is spoilt."""
        assert self._train.masks is not None
        scale = float(np.exp(random.normal(0, self.options.scale)))
        shift = CANVAS * (random.normal(0, self.options.shift, 2) + (1 - scale) / 2)
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        if random.random() < 0.5:
            matrix = matrix @ np.array([[-1, 0, CANVAS - 1], [0, 1, 0], [0, 0, 1]])
        picture = _warped(np.ascontiguousarray(self._train.frames[index]), matrix)
        size = (CANVAS, CANVAS)
        mask = cv2.resize(self._train.masks[index], size, interpolation=cv2.INTER_LINEAR)
        mask = _warped(np.asarray(mask, np.uint8), matrix)
        points = np.full((1, 2), CANVAS / 2, np.float32)
        return _small(augment_call(picture, points, picture, _SUFFERED, random), mask)

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        del turn, step
        found = self._network(batch["picture"])[:, 0].float()
        wanted = batch["mask"]
        cross = nn.functional.binary_cross_entropy_with_logits(found, wanted)
        near = (found.sigmoid() - wanted).abs().mean()
        return {"loss": cross + near, "cross": cross, "near": near}

    @cached_property
    def _seen(self) -> list[tuple[U8, U8]]:
        """Of the validation: pictures and masks, evenly spread."""
        store, count = self._validate, self.options.validate_frames
        assert store.masks is not None
        chosen = np.linspace(0, len(store) - 1, min(count, len(store))).astype(int)
        return [_small(np.ascontiguousarray(store.frames[i]), store.masks[i]) for i in chosen]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Score: mean difference from the teacher's mask, 0 to 1. ``over_union``: of the masks cut
        at a half (intersection over union).
        """
        batch = to_batch(self._seen)
        parts = range(0, len(batch["picture"]), _AT_ONCE)
        logits = [network(batch["picture"][i : i + _AT_ONCE])[:, 0] for i in parts]
        found = torch.cat(logits).sigmoid()
        ours, theirs = found > 0.5, batch["mask"] > 0.5
        both, either = (ours & theirs).sum((1, 2)), (ours | theirs).sum((1, 2))
        return {
            "score": float((found - batch["mask"]).abs().mean()),
            "over_union": float((both / either.clamp(min=1)).mean()),
        }

    def pictures(self, network: nn.Module) -> U8 | None:
        """Three rows: pictures, what the network, what the teacher makes of them."""
        seen = self._seen[:: max(len(self._seen) // _SHOWN, 1)][:_SHOWN]
        found = network(to_batch(seen)["picture"]).sigmoid()[:, 0].numpy()
        ours = [np.asarray(np.rint(255 * one), np.uint8) for one in found]
        rows = [picture for picture, _ in seen], ours, [mask for _, mask in seen]
        return np.vstack([np.hstack([_shown(tile) for tile in row]) for row in rows])


def _masked(folder: Path) -> FrameStore:
    store = FrameStore.open(folder)
    if store.masks is None:
        raise InputError(f"expected masks in {folder}, found none: prepare it without --no-mask")
    return store


def _warped(picture: U8, matrix: F64) -> U8:
    size = (CANVAS, CANVAS)
    return np.asarray(
        cv2.warpAffine(picture, matrix[:2], size, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _small(picture: U8, mask: U8) -> tuple[U8, U8]:
    """Return both at the sizes of the network."""
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    size = (MATTE_SIDE, MATTE_SIDE)
    return np.asarray(small, np.uint8), np.asarray(
        cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8
    )


def to_batch(samples: list[tuple[U8, U8]]) -> Batch:
    """Return ``picture`` uint8 (B, 3, 128, 128) and ``mask`` float32 (B, 64, 64), 0 to 1."""
    masks = np.stack([mask for _, mask in samples])
    return {
        "picture": torch.from_numpy(planes([picture for picture, _ in samples])),
        "mask": torch.from_numpy(masks.astype(np.float32) / np.float32(255)),
    }


def _shown(tile: U8) -> U8:
    colour = tile if tile.ndim == 3 else cv2.cvtColor(tile, cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.resize(colour, (SIDE, SIDE)), np.uint8)
