# SPDX-License-Identifier: Apache-2.0
"""Shards: what is written is read, the same bytes each time, and damage is refused."""

from __future__ import annotations

import gc
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcodec.errors import InputError
from tests.training.prepare.making import make_prepared
from training.prepare import read_index, read_passages
from training.prepare.labels import unpack
from training.prepare.reading import pick_passages
from training.prepare.shards import INDEX, ShardPlan, write_shard, written

webdataset = pytest.importorskip(
    "webdataset", reason="webdataset is not installed: requirements/teacher.txt"
)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    make_prepared(tmp_path)
    return tmp_path


def test_passages_come_back_in_the_order_of_the_shards(prepared: Path) -> None:
    assert [p.key for p in read_passages(prepared)] == ["b-001", "a-000", "b-000", "z-000"]
    assert [p.key for p in read_passages(prepared, "val")] == ["z-000"]


def test_a_passage_comes_back_whole(prepared: Path) -> None:
    for passage in read_passages(prepared):
        folder = prepared / "parts" / passage.about["clip"]
        assert passage.video == (folder / f"{passage.key}.mp4").read_bytes()
        stored = unpack((folder / f"{passage.key}.npz").read_bytes())
        assert np.array_equal(passage.labels.landmarks, stored.landmarks)
        pictures = list(passage.pictures())
        assert len(pictures) == len(passage.labels) == 10
        levels = [int(picture.mean()) for picture in pictures]
        assert levels == pytest.approx([passage.about["level"] + 3 * i for i in range(10)], abs=2)
        assert passage.time_base == pytest.approx(0.04)


def test_the_large_crop_is_there_where_there_is_one(prepared: Path) -> None:
    with_large, without, *_ = read_passages(prepared)
    assert next(iter(with_large.pictures(large=True))).shape == (512, 512, 3)
    with pytest.raises(InputError, match="expected a 512² crop of a-000, found none"):
        next(iter(without.pictures(large=True)))


def test_some_passages_can_be_picked(prepared: Path) -> None:
    rows = read_index(prepared)["shards"]
    picked = {p.key: p for p in pick_passages(prepared, rows, {"z-000", "a-000"})}
    assert set(picked) == {"z-000", "a-000"}
    for passage in read_passages(prepared):
        if passage.key in picked:
            assert picked[passage.key].video == passage.video
            assert picked[passage.key].about == passage.about


def test_the_same_parts_give_the_same_bytes(prepared: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in prepared.glob("*.tar")}
    make_prepared(tmp_path / "again")
    assert {p.name: p.read_bytes() for p in (tmp_path / "again").glob("*.tar")} == before


def test_shards_are_plain_tar_files_without_people_or_times(prepared: Path) -> None:
    with tarfile.open(prepared / "train-000000.tar") as tar:
        members = tar.getmembers()
    names = ["b-001.512.mp4", "b-001.json", "b-001.mp4", "b-001.npz"]
    assert sorted(m.name for m in members[:4]) == names
    assert {(m.mtime, m.uname, m.gname) for m in members} == {(0, "", "")}


@pytest.mark.filterwarnings("ignore")  # it leaves its files to the garbage collector
def test_webdataset_streams_them(prepared: Path) -> None:
    shards = [str(prepared / row["name"]) for row in read_index(prepared)["shards"]]
    streamed = list(webdataset.WebDataset(shards, shardshuffle=False))
    own = list(read_passages(prepared))
    assert [sample["__key__"] for sample in streamed] == [passage.key for passage in own]
    assert [sample["mp4"] for sample in streamed] == [passage.video for passage in own]
    assert json.loads(streamed[0]["json"]) == own[0].about
    gc.collect()


def plan_of(row: dict[str, Any]) -> ShardPlan:
    passages = tuple((key.rpartition("-")[0], key) for key in row["keys"])
    return ShardPlan(row["name"], row["split"], passages, row["plan"])


def test_a_shard_is_written_once(prepared: Path) -> None:
    row = read_index(prepared)["shards"][0]
    plan = plan_of(row)
    assert written(plan, prepared) == row
    other = ShardPlan(plan.name, plan.split, plan.passages, "another digest")
    assert written(other, prepared) is None
    with (prepared / plan.name).open("ab") as file:
        file.write(b"more")
    assert written(plan, prepared) is None
    (prepared / plan.name).unlink()
    assert written(plan, prepared) is None


def test_a_part_that_is_gone_is_named_and_leaves_no_file(prepared: Path) -> None:
    row = read_index(prepared)["shards"][0]
    (prepared / "parts" / "a" / "a-000.npz").unlink()
    (prepared / row["name"]).unlink()
    with pytest.raises(InputError, match="expected the passage a-000 in"):
        write_shard(plan_of(row), prepared / "parts", prepared)
    assert not list(prepared.glob("*train*"))


@pytest.mark.parametrize("length", [0, 700, 5000])
def test_a_shard_that_ends_early_is_refused(prepared: Path, length: int) -> None:
    path = prepared / "val-000000.tar"
    path.write_bytes(path.read_bytes()[:length])
    rows = read_index(prepared)["shards"]
    for reading in (read_passages(prepared, "val"), pick_passages(prepared, rows, {"z-000"})):
        with pytest.raises(InputError, match=r"z-000|expected a shard") as caught:
            list(reading)
        assert "\n" not in str(caught.value)


def test_a_shard_of_other_bytes_is_refused(prepared: Path) -> None:
    (prepared / "val-000000.tar").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(InputError, match="expected"):
        list(read_passages(prepared, "val"))


def test_labels_that_are_damaged_are_refused(prepared: Path) -> None:
    path = prepared / "val-000000.tar"
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        at = tar.getmember("z-000.npz").offset_data
    data[at : at + 2000] = bytes(2000)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="expected the labels of a passage"):
        list(read_passages(prepared, "val"))


def test_a_shard_that_is_gone_is_named(prepared: Path) -> None:
    (prepared / "val-000000.tar").unlink()
    with pytest.raises(InputError, match=r"val-000000.tar as index.json says, found none"):
        list(read_passages(prepared))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "run talkcodec train prepare first"),
        ("{", "expected JSON in"),
        ("[]", "expected format 1"),
        (json.dumps({"format": 99}), "expected format 1 in .*, found 99"),
    ],
)
def test_an_index_that_is_none(prepared: Path, text: str | None, words: str) -> None:
    if text is None:
        (prepared / INDEX).unlink()
    else:
        (prepared / INDEX).write_text(text)
    with pytest.raises(InputError, match=words):
        read_index(prepared)
