# SPDX-License-Identifier: Apache-2.0
"""From shards, which are small and read in order, to a frame store, which is large and is not.

Besides what ``training.store`` reads, ``details.npz`` holds of the same frames ``blendshapes``
float16 (N, 52) and ``pose`` float32 (N, 4, 4).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import F32, I32
from training.corpus import Split
from training.prepare.reading import Passage, read_index, read_passages
from training.store import StoreWriter

DETAILS = "details.npz"

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds. ``bytes``: on disk."""

    frames: int
    passages: int
    people: int
    bytes: int


def build_store(prepared: Path, out: Path, split: Split, stride: int, progress: Progress) -> Stored:
    """Write every ``stride``-th frame of ``prepared`` in which the teacher saw a face to ``out``.

    People are numbered in the order of their names over all splits, so that two stores of one
    folder agree.

    Raises:
        InputError: ``prepared`` is no prepared folder, damaged, or has no such frame.
    """
    index = read_index(prepared)
    rows = [row for row in index["shards"] if split == row["split"]]
    total = sum(len(row["keys"]) for row in rows)
    chosen: dict[str, I32] = {}
    masked = True
    with progress("labels", total) as step:
        for passage in read_passages(prepared, split):
            chosen[passage.key] = _frames(passage, stride)
            masked &= passage.labels.mask is not None
            step()
    count = sum(len(frames) for frames in chosen.values())
    if count == 0:
        raise InputError(f"expected frames of {split} in {prepared}, found none")
    numbers = {name: number for number, name in enumerate(index["people"])}
    writer = StoreWriter(out, count, masked=masked)
    shapes: list[F32] = []
    poses: list[F32] = []
    people = set()
    with progress("frames", total) as step:
        for passage in read_passages(prepared, split):
            frames = chosen[passage.key]
            if len(frames):
                person = numbers[passage.about["identity"]]
                _add(writer, passage, frames, person, stride)
                shapes.append(passage.labels.blendshapes[frames])
                poses.append(passage.labels.pose[frames])
                people.add(person)
            step()
    np.savez(
        out / DETAILS,
        allow_pickle=False,
        blendshapes=np.concatenate(shapes).astype(np.float16),
        pose=np.concatenate(poses).astype(np.float32),
    )
    writer.close()
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    return Stored(count, sum(bool(len(frames)) for frames in chosen.values()), len(people), size)


def _frames(passage: Passage, stride: int) -> I32:
    frames = np.arange(0, len(passage.labels), stride, dtype=np.int32)
    return np.asarray(frames[passage.labels.found[frames]], np.int32)


def _add(writer: StoreWriter, passage: Passage, frames: I32, person: int, stride: int) -> None:
    wanted = set(frames.tolist())
    pictures = [picture for i, picture in enumerate(passage.pictures()) if i in wanted]
    labels = passage.labels
    masks = None if labels.mask is None else labels.mask[frames]
    writer.add(pictures, labels.landmarks[frames], person, _about(passage, stride), masks)


def _about(passage: Passage, stride: int) -> dict[str, Any]:
    names = ("clip", "licence", "split", "fps")
    return {
        "name": passage.key,
        "stride": stride,
        **{name: passage.about[name] for name in names},
    }
