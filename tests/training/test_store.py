# SPDX-License-Identifier: Apache-2.0
"""A store gives back what was written, and nothing half."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import InputError
from tests.training.tiny import make_store, moved
from training.store import FrameStore, StoreWriter, check_apart


def test_frames_and_labels_come_back(tmp_path: Path) -> None:
    store = make_store(tmp_path, frames=5)
    assert len(store) == 5
    for index in range(5):
        picture, marks = moved(index)
        np.testing.assert_array_equal(store.frames[index], picture)
        np.testing.assert_array_equal(store.landmarks[index], marks)
    assert store.clip.tolist() == store.identity.tolist() == [0, 0, 1, 1, 1]
    assert [clip["first"] for clip in store.meta["clips"]] == [0, 2]
    assert isinstance(store.frames, np.memmap)
    assert store.about() == {"frames": 5, "clips": 2, "people": 2, "licences": ["MIT"]}


def test_a_store_with_fewer_frames_than_announced_does_not_open(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, 2)
    picture, marks = moved(0)
    writer.add([picture], marks[None], 0, {"name": "a", "licence": "MIT"})
    with pytest.raises(InputError, match=r"^expected 2 frames, found 1$"):
        writer.close()
    with pytest.raises(InputError, match=r"^expected a frame store in .*, found"):
        FrameStore.open(tmp_path)


@pytest.mark.parametrize("name", ["frames.npy", "labels.npz", "store.json"])
def test_a_damaged_store_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    make_store(tmp_path, frames=2)
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"^expected a frame store in") as told:
        FrameStore.open(tmp_path)
    assert "\n" not in str(told.value)


def test_parts_that_disagree_are_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "a", frames=2)
    make_store(tmp_path / "b", frames=3)
    (tmp_path / "b" / "labels.npz").replace(tmp_path / "a" / "labels.npz")
    with pytest.raises(InputError, match=r"with landmarks in .*, found \(2, 256, 256, 3\) and"):
        FrameStore.open(tmp_path / "a")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_landmarks_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    writer = StoreWriter(tmp_path, 1)
    picture, marks = moved(0)
    marks[300, 1] = value
    writer.add([picture], marks[None], 0, {"name": "a", "licence": "MIT"})
    writer.close()
    with pytest.raises(InputError, match=r"^expected finite landmarks in .*, found others$"):
        FrameStore.open(tmp_path)


def test_stores_that_share_a_clip_are_not_apart(tmp_path: Path) -> None:
    one, other = make_store(tmp_path / "a", frames=2), make_store(tmp_path / "b", frames=2)
    check_apart(one, other)
    with pytest.raises(InputError, match=r"^expected other clips .*, found a0 in both and 1 more$"):
        check_apart(one, one)
    # Two passages of one video are as good as one.
    for store, name in ((one, "x-000"), (other, "x-001")):
        store.meta["clips"][0] |= {"name": name, "clip": "x"}
    with pytest.raises(InputError, match=r"^expected other clips .*, found x in both$"):
        check_apart(one, other)


def test_what_a_store_says_is_json(tmp_path: Path) -> None:
    make_store(tmp_path, frames=2, licence="CC-BY-4.0")
    assert json.loads((tmp_path / "store.json").read_text())["clips"][0]["licence"] == "CC-BY-4.0"


def test_masks_come_back_where_there_are_any(tmp_path: Path) -> None:
    store = make_store(tmp_path, frames=4)
    assert store.masks is not None
    assert store.masks.shape == (4, 64, 64)
    assert 0 < store.masks.mean() < 255
    make_store(tmp_path / "other", frames=2)
    (tmp_path / "other" / "masks.npy").replace(tmp_path / "masks.npy")
    with pytest.raises(InputError, match=r"^expected 4 masks in .*, found \(2, 64, 64\)$"):
        FrameStore.open(tmp_path)
    (tmp_path / "masks.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"^expected a frame store in"):
        FrameStore.open(tmp_path)
    (tmp_path / "masks.npy").unlink()
    assert FrameStore.open(tmp_path).masks is None
