# SPDX-License-Identifier: Apache-2.0
"""From records to shards: nothing lost, nothing twice, nobody in both splits, always the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from training.corpus import Split
from training.prepare.plan import histograms, plan_shards, select, totals
from training.prepare.shards import ShardPlan
from training.prepare.statistics import QUANTITIES


def passage(key: str, split: Split = "train", person: str = "p", **more: Any) -> dict[str, Any]:
    about = {
        "key": key,
        "clip": key.rpartition("-")[0],
        "identity": person,
        "split": split,
        "licence": more.get("licence", "MIT"),
        "frames": 50,
        "quality": {"seconds": more.get("seconds", 30.0)},
    }
    look = random.Random(more.get("look", key))
    return {
        "about": about,
        "bytes": more.get("bytes", {"mp4": 1_000_000, "npz": 500_000, "json": 400}),
        "hashes": [look.randbytes(32).hex() for _ in range(6)],
        "histograms": {name: [1] * quantity.bins for name, quantity in QUANTITIES.items()},
    }


def records(passages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    clips: dict[str, dict[str, Any]] = {}
    for one in passages:
        name = one["about"]["clip"]
        record = clips.setdefault(name, {"clip": name, "passages": [], "rejected": []})
        record["passages"].append(one)
    return list(clips.values())


MANY = [passage(f"c{n:02d}-000", "val" if n % 5 == 0 else "train", f"p{n % 10}") for n in range(40)]


def test_every_passage_is_in_one_shard_of_its_split() -> None:
    plans = plan_shards(MANY, 8)
    placed = [(plan.split, key) for plan in plans for _, key in plan.passages]
    assert sorted(placed) == sorted((p["about"]["split"], p["about"]["key"]) for p in MANY)
    assert len({plan.name for plan in plans}) == len(plans)
    assert all(plan.name.startswith(plan.split) for plan in plans)


@pytest.mark.parametrize("megabytes", [1, 4, 8, 1000])
def test_shards_keep_to_their_size(megabytes: float) -> None:
    plans = plan_shards(MANY, megabytes)
    for plan in plans:
        assert len(plan.passages) == 1 or len(plan.passages) * 1.5 <= megabytes
    if megabytes == 1000:
        assert [plan.name for plan in plans] == ["train-000000.tar", "val-000000.tar"]


def test_the_order_of_the_records_does_not_matter() -> None:
    shuffled = MANY.copy()
    random.Random(1).shuffle(shuffled)
    one, other = select(records(MANY)), select(records(shuffled))
    assert one == other
    assert plan_shards(one.passages, 8) == plan_shards(other.passages[::-1], 8)


def test_people_are_mixed() -> None:
    (plan,) = (p for p in plan_shards(MANY, 1000) if p.split == "train")
    assert [key for _, key in plan.passages] != sorted(key for _, key in plan.passages)


def test_a_plan_changes_with_what_is_known_of_its_passages() -> None:
    (before,) = plan_shards([passage("a-000")], 8)
    (same,) = plan_shards([passage("a-000")], 8)
    (after,) = plan_shards([passage("a-000", person="q")], 8)
    assert before == same
    assert before.digest != after.digest
    assert ShardPlan.from_json(before.as_json()) == before


def test_of_copies_the_one_in_val_stays() -> None:
    train, val = passage("a-000", look=1), passage("b-000", "val", "q", look=1)
    chosen = select(records([train, val, passage("c-000")]))
    assert [p["about"]["key"] for p in chosen.passages] == ["b-000", "c-000"]
    assert chosen.rejected == [{"key": "a-000", "reason": "duplicate", "told": "of b-000"}]


def test_totals_add_up() -> None:
    large = {"mp4": 1_000_000, "512.mp4": 4_000_000, "npz": 500_000, "json": 500_000}
    mixed = [
        passage("a-000", person="x", seconds=60),
        passage("a-001", person="x", seconds=30, bytes=large, licence="Apache-2.0"),
        passage("b-000", "val", "y", seconds=30, bytes=large),
    ]
    sums = totals(mixed)
    every, train, val = sums["all"], sums["train"], sums["val"]
    for name in ("passages", "clips", "people", "frames", "minutes", "minutes_512"):
        assert every[name] == pytest.approx(train[name] + val[name])
    assert (train["clips"], train["passages"], train["minutes"]) == (1, 2, 1.5)
    assert train["minutes_512"] == 0.5
    assert train["minutes_of_licence"] == {"Apache-2.0": 0.5, "MIT": 1.0}
    assert train["megabytes_per_minute"]["512.mp4"] == 8
    assert every["megabytes_per_minute"]["mp4"] == 1.5
    assert every["megabytes_per_minute"]["all"] == pytest.approx(every["megabytes"] / 2)


def test_totals_of_nothing() -> None:
    assert totals([])["all"]["minutes"] == 0


def test_histograms_add_up() -> None:
    summed = histograms(MANY)
    assert summed["train"]["yaw"] == [32] * QUANTITIES["yaw"].bins
    assert summed["val"]["mouth"] == [8] * QUANTITIES["mouth"].bins
