# SPDX-License-Identifier: Apache-2.0
"""What the records of all clips say together: which passages stay, in which shards, how much it is.

Nothing here depends on the order in which clips were done.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from training.corpus import Split
from training.prepare.clip import Record
from training.prepare.hashing import duplicates
from training.prepare.shards import ShardPlan
from training.prepare.statistics import QUANTITIES

SPLITS: tuple[Split, ...] = ("train", "val")

_TAR_BLOCK = 512
_MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """``passages`` as the records hold them, by key; ``rejected``: key, reason, told."""

    passages: list[dict[str, Any]]
    rejected: list[dict[str, str]]


def select(records: Sequence[Record]) -> Selection:
    """Collect the passages of all clips and leave out what is there twice.

    Of two that are the same in both splits val's stays: nothing measured on is trained on.
    """
    every = [passage for record in records for passage in record["passages"]]
    rejected = [row for record in records for row in record["rejected"]]
    every.sort(key=lambda passage: (passage["about"]["split"] != "val", passage["about"]["key"]))
    hashed = [(p["about"]["key"], [bytes.fromhex(code) for code in p["hashes"]]) for p in every]
    copies = duplicates(hashed)
    rejected += [
        {"key": key, "reason": "duplicate", "told": f"of {other}"} for key, other in copies.items()
    ]
    return Selection(
        sorted(
            (p for p in every if p["about"]["key"] not in copies), key=lambda p: p["about"]["key"]
        ),
        sorted(rejected, key=lambda row: (row["key"], row["reason"])),
    )


def plan_shards(passages: Sequence[Mapping[str, Any]], megabytes: float) -> list[ShardPlan]:
    """Share ``passages`` out over shards of about ``megabytes``, each split by itself.

    The order is that of the keys' hashes, which mixes people.
    """
    plans: list[ShardPlan] = []
    for split in SPLITS:
        mine = [p for p in passages if p["about"]["split"] == split]
        mine.sort(key=lambda p: hashlib.sha256(p["about"]["key"].encode()).digest())
        group: list[Mapping[str, Any]] = []
        groups = [group]
        size = 0
        for passage in mine:
            if group and size + _tar_bytes(passage) > megabytes * _MEGA:
                groups.append(group := [])
                size = 0
            group.append(passage)
            size += _tar_bytes(passage)
        plans += [_plan(split, number, group) for number, group in enumerate(groups) if group]
    return plans


def _plan(split: Split, number: int, passages: Sequence[Mapping[str, Any]]) -> ShardPlan:
    told = json.dumps([[p["about"], p["bytes"], p["hashes"]] for p in passages], sort_keys=True)
    return ShardPlan(
        f"{split}-{number:06d}.tar",
        split,
        tuple((p["about"]["clip"], p["about"]["key"]) for p in passages),
        hashlib.sha256(told.encode()).hexdigest(),
    )


def _tar_bytes(passage: Mapping[str, Any]) -> int:
    sizes: Mapping[str, int] = passage["bytes"]
    return _TAR_BLOCK * sum(-(-size // _TAR_BLOCK) + 1 for size in sizes.values())


def totals(passages: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the sums of each split, and of ``all``."""
    splits = {s: [p for p in passages if p["about"]["split"] == s] for s in SPLITS}
    return {"all": _sums(passages)} | {str(name): _sums(group) for name, group in splits.items()}


def _sums(passages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    about = [passage["about"] for passage in passages]
    seconds = {"mp4": 0.0, "512.mp4": 0.0}  # the labels' are the small crop's
    sizes: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    for passage in passages:
        length = passage["about"]["quality"]["seconds"]
        sizes.update(passage["bytes"])
        licences[passage["about"]["licence"]] += length
        seconds["mp4"] += length
        seconds["512.mp4"] += length if "512.mp4" in passage["bytes"] else 0.0
    minutes = max(seconds["mp4"] / 60, 1e-9)
    return {
        "passages": len(about),
        "clips": len({row["clip"] for row in about}),
        "people": len({row["identity"] for row in about}),
        "frames": sum(row["frames"] for row in about),
        "minutes": round(seconds["mp4"] / 60, 3),
        "minutes_512": round(seconds["512.mp4"] / 60, 3),
        "minutes_of_licence": {name: round(s / 60, 3) for name, s in sorted(licences.items())},
        "megabytes": round(sum(sizes.values()) / _MEGA, 3),
        "megabytes_per_minute": {
            "all": round(sum(sizes.values()) / _MEGA / minutes, 3),
            **{
                name: round(size / _MEGA / (seconds.get(name, seconds["mp4"]) / 60), 3)
                for name, size in sorted(sizes.items())
            },
        },
    }


def histograms(passages: Sequence[Mapping[str, Any]]) -> dict[Split, dict[str, list[int]]]:
    """Return the counts of every quantity in each split."""
    out: dict[Split, dict[str, list[int]]] = {
        split: {name: [0] * quantity.bins for name, quantity in QUANTITIES.items()}
        for split in SPLITS
    }
    for passage in passages:
        mine = out[cast("Split", passage["about"]["split"])]
        for name, counts in passage["histograms"].items():
            mine[name] = [a + b for a, b in zip(mine[name], counts, strict=True)]
    return out
