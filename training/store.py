# SPDX-License-Identifier: Apache-2.0
"""Frames and labels as memory-mapped arrays, so that training reads any frame at random.

A store is a folder: ``frames.npy`` uint8 (N, 256, 256, 3) RGB, ``labels.npz`` with ``landmarks``
float32 (N, 478, 3) in pixels of the frame, ``clip`` int32 (N,) and ``identity`` int32 (N,), and
``store.json`` with the clips' names, licences and the frames' rates. Where the teacher told persons
apart from what is behind them, ``masks.npy`` uint8 (N, 64, 64) says where they are, 255 inside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import CANVAS, F32, I32, LANDMARKS, U8
from training.prepare.labels import MASK_SIDE

_MASKS = "masks.npy"


@dataclass(frozen=True, slots=True)
class FrameStore:
    """N frames with what the teacher saw in them; ``frames`` and ``masks`` stay on disk."""

    frames: U8
    landmarks: F32
    clip: I32
    identity: I32
    meta: dict[str, Any]
    masks: U8 | None = None

    def __len__(self) -> int:
        return len(self.landmarks)

    @classmethod
    def open(cls, folder: Path) -> FrameStore:
        """Open the store in ``folder``.

        Raises:
            InputError: there is none, its parts disagree, or its landmarks are not finite.
        """
        try:
            meta = json.loads((folder / "store.json").read_text())
            frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
            with np.load(folder / "labels.npz", allow_pickle=False) as stored:
                labels = {name: stored[name] for name in ("landmarks", "clip", "identity")}
            masks = None
            if (folder / _MASKS).exists():
                masks = np.load(folder / _MASKS, mmap_mode="r", allow_pickle=False)
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"expected a frame store in {folder}, found {error}") from None
        count = len(frames)
        # A sum takes no memory, and one number that is not finite spoils it.
        if not np.isfinite(labels["landmarks"].sum(dtype=np.float64)):
            raise InputError(f"expected finite landmarks in {folder}, found others")
        if frames.shape[1:] != (CANVAS, CANVAS, 3) or labels["landmarks"].shape != (
            count,
            LANDMARKS,
            3,
        ):
            raise InputError(
                f"expected (N, {CANVAS}, {CANVAS}, 3) frames with landmarks in {folder}, "
                f"found {frames.shape} and {labels['landmarks'].shape}"
            )
        if masks is not None and masks.shape != (count, MASK_SIDE, MASK_SIDE):
            raise InputError(f"expected {count} masks in {folder}, found {masks.shape}")
        return cls(frames, labels["landmarks"], labels["clip"], labels["identity"], meta, masks)

    def clips(self) -> set[str]:
        """Return the names of its clips, and of the videos that they are passages of."""
        rows = self.meta["clips"]
        return {row[key] for row in rows for key in ("name", "clip") if key in row}

    def about(self) -> dict[str, Any]:
        """Tell how much of whom this is: frames, clips, people, licences."""
        clips = self.meta["clips"]
        return {
            "frames": len(self),
            "clips": len(clips),
            "people": len(np.unique(self.identity)),
            "licences": sorted({clip["licence"] for clip in clips}),
        }


def check_apart(train: FrameStore, validate: FrameStore) -> None:
    """Refuse to measure on what is trained on.

    Raises:
        InputError: the stores share a clip.
    """
    both = sorted(train.clips() & validate.clips())
    if both:
        raise InputError(
            f"expected other clips to validate on than to train on, found {both[0]} in both"
            + (f" and {len(both) - 1} more" if len(both) > 1 else "")
        )


class StoreWriter:
    """Writes a store frame by frame; ``close`` makes it complete. ``masked``: with masks."""

    def __init__(self, folder: Path, count: int, *, masked: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._frames = np.lib.format.open_memmap(
            folder / "frames.npy", mode="w+", dtype=np.uint8, shape=(count, CANVAS, CANVAS, 3)
        )
        self._masks: np.memmap[Any, np.dtype[np.uint8]] | None = None
        if masked:
            shape = (count, MASK_SIDE, MASK_SIDE)
            self._masks = np.lib.format.open_memmap(
                folder / _MASKS, mode="w+", dtype=np.uint8, shape=shape
            )
        self._landmarks = np.zeros((count, LANDMARKS, 3), np.float32)
        self._clip = np.zeros(count, np.int32)
        self._identity = np.zeros(count, np.int32)
        self._clips: list[dict[str, Any]] = []
        self._next = 0

    def add(
        self,
        pictures: list[U8],
        landmarks: F32,
        identity: int,
        about: dict[str, Any],
        masks: U8 | None = None,
    ) -> None:
        """Append a clip: pictures uint8 (256, 256, 3), landmarks float32 (T, 478, 3), masks uint8
        (T, 64, 64) if the store has any.
        """
        here = slice(self._next, self._next + len(pictures))
        for index, picture in enumerate(pictures):
            self._frames[self._next + index] = picture
        if self._masks is not None:
            assert masks is not None  # of a store with masks every clip has some
            self._masks[here] = masks
        self._landmarks[here] = landmarks
        self._clip[here] = len(self._clips)
        self._identity[here] = identity
        self._clips.append(about | {"first": self._next, "frames": len(pictures)})
        self._next += len(pictures)

    def close(self) -> None:
        """Write the labels; a store without them does not open.

        Raises:
            InputError: fewer frames came than were announced.
        """
        if self._next != len(self._landmarks):
            raise InputError(f"expected {len(self._landmarks)} frames, found {self._next}")
        self._frames.flush()
        if self._masks is not None:
            self._masks.flush()
        np.savez(
            self._folder / "labels.npz",
            landmarks=self._landmarks,
            clip=self._clip,
            identity=self._identity,
        )
        (self._folder / "store.json").write_text(json.dumps({"clips": self._clips}))
