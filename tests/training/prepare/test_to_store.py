# SPDX-License-Identifier: Apache-2.0
"""A store holds the frames of the shards in which there is a face, with their labels."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import InputError
from tests.training.prepare.making import make_prepared
from training.prepare import read_passages
from training.prepare.to_store import DETAILS, build_store
from training.store import FrameStore

pytest.importorskip("webdataset", reason="webdataset is not installed: requirements/teacher.txt")


def silent(label: str, count: int) -> nullcontext[object]:
    del label, count
    return nullcontext(lambda: None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    make_prepared(folder)
    return folder


@pytest.mark.parametrize("stride", [1, 3])
def test_a_store_holds_what_the_shards_hold(prepared: Path, tmp_path: Path, stride: int) -> None:
    told = build_store(prepared, tmp_path, "train", stride, silent)  # type: ignore[arg-type]
    store = FrameStore.open(tmp_path)
    with np.load(tmp_path / DETAILS) as details:
        shapes, poses = details["blendshapes"], details["pose"]
    assert told.frames == len(store) == len(store.frames) == len(shapes) == len(poses)
    assert (told.passages, told.people) == (3, 2)
    at = 0
    for number, passage in enumerate(read_passages(prepared, "train")):
        for index, picture in enumerate(passage.pictures()):
            if index % stride or not passage.labels.found[index]:
                continue
            assert np.array_equal(store.frames[at], picture)
            assert np.array_equal(store.landmarks[at], passage.labels.landmarks[index])
            assert shapes[at] == pytest.approx(passage.labels.blendshapes[index], abs=1e-3)
            assert np.array_equal(poses[at], passage.labels.pose[index])
            assert store.masks is not None
            assert passage.labels.mask is not None
            assert np.array_equal(store.masks[at], passage.labels.mask[index])
            assert store.clip[at] == number
            assert store.identity[at] == {"anna": 0, "ben": 1}[passage.about["identity"]]
            at += 1
    assert at == len(store)
    assert [clip["name"] for clip in store.meta["clips"]] == ["b-001", "a-000", "b-000"]
    assert store.meta["clips"][0]["licence"] == "MIT"


def test_people_have_one_number_in_all_stores(prepared: Path, tmp_path: Path) -> None:
    build_store(prepared, tmp_path, "val", 1, silent)  # type: ignore[arg-type]
    assert set(FrameStore.open(tmp_path).identity.tolist()) == {2}  # zoe, after anna and ben


def test_a_damaged_shard_gives_no_store(tmp_path: Path) -> None:
    make_prepared(tmp_path)
    shard = tmp_path / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:9000])
    with pytest.raises(InputError, match="expected"):
        build_store(tmp_path, tmp_path / "store", "train", 1, silent)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a frame store"):
        FrameStore.open(tmp_path / "store")
