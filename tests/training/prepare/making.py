# SPDX-License-Identifier: Apache-2.0
"""Videos, labels and prepared folders to test with, made without any teacher."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.media.writer import VideoWriter
from talkcodec.types import LANDMARKS, U8
from training.corpus import Split
from training.prepare.files import write_json
from training.prepare.labels import BLENDSHAPES, MASK_SIDE, PassageLabels, pack
from training.prepare.shards import FORMAT, INDEX, ShardPlan, write_shard

RATE = Fraction(25)


def write_video(path: Path, pictures: Sequence[U8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, RATE) as writer:
        for tick, picture in enumerate(pictures):
            writer.write(picture, tick)


def random_labels(count: int, seed: int, *, mask: bool = True, spread: float = 40) -> PassageLabels:
    rng = np.random.default_rng(seed)
    found = rng.random(count) < 0.8
    marks = rng.normal(128, spread, (count, LANDMARKS, 3)) * found[:, None, None]
    shapes = rng.random((count, BLENDSHAPES)) * found[:, None]
    return PassageLabels(
        np.arange(count, dtype=np.int32),
        found,
        marks.astype(np.float32),
        shapes.astype(np.float32),
        rng.normal(0, 20, (count, 4, 4)).astype(np.float32) * found[:, None, None],
        rng.integers(0, 256, (count, MASK_SIDE, MASK_SIDE)).astype(np.uint8) if mask else None,
    )


def grey_pictures(count: int, level: int, side: int = 256) -> list[U8]:
    """Plain pictures, each a little lighter than the one before."""
    return [np.full((side, side, 3), level + 3 * i, np.uint8) for i in range(count)]


def make_part(parts: Path, key: str, person: str, split: Split, *, large: bool = False) -> Any:
    """Write the files of a passage of 10 frames; return what is known of it."""
    folder = parts / key.rpartition("-")[0]
    seed = int.from_bytes(key.encode()[-6:], "big") % 1000
    level = 20 + seed % 100
    write_video(folder / f"{key}.mp4", grey_pictures(10, level))
    if large:
        write_video(folder / f"{key}.512.mp4", grey_pictures(10, level, 512))
    (folder / f"{key}.npz").write_bytes(pack(random_labels(10, seed)))
    about = {
        "key": key,
        "clip": key.rpartition("-")[0],
        "identity": person,
        "split": split,
        "licence": "MIT",
        "fps": 25.0,
        "time_base": "1/25",
        "level": level,
        "seed": seed,
    }
    (folder / f"{key}.json").write_text(json.dumps(about))
    return about


def make_prepared(out: Path) -> dict[str, Any]:
    """Write a prepared folder of two shards; return its index."""
    rows = []
    people = {"a-000": "anna", "b-000": "ben", "b-001": "ben", "z-000": "zoe"}
    shards: dict[Split, list[str]] = {"train": ["b-001", "a-000", "b-000"], "val": ["z-000"]}
    for split, keys in shards.items():
        for key in keys:
            make_part(out / "parts", key, people[key], split, large=key == "b-001")
        passages = tuple((key.rpartition("-")[0], key) for key in keys)
        plan = ShardPlan(f"{split}-000000.tar", split, passages, "some digest")
        rows.append(write_shard(plan, out / "parts", out))
    index = {"format": FORMAT, "shards": rows, "people": sorted(set(people.values()))}
    write_json(out / INDEX, index)
    return index
