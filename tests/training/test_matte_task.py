# SPDX-License-Identifier: Apache-2.0
"""The matte learns where the teacher saw a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from talkcodec.errors import InputError
from talkcodec.models.matte import MATTE_SIDE, SIDE
from tests.training.tiny import make_store
from training.task import Task, build_task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stores")
    make_store(made / "train")
    make_store(made / "val", frames=4)
    return made


def build(folder: Path, validate: str = "val") -> Task:
    torch.manual_seed(0)
    stores = {"train": str(folder / "train"), "validate": str(folder / validate)}
    return build_task({"name": "matte", **stores, "widths": [4, 8, 8, 12]})


def draw(task: Task, seed: int = 3, step: int = 5, rank: int = 0) -> dict[str, Any]:
    return next(task.loader(batch=4, seed=seed, step=step, rank=rank, world=2))


def test_a_batch_is_learned(folder: Path) -> None:
    task = build(folder)
    (network,) = task.networks().values()
    task.attach({"matte": network})
    batch = next(task.loader(batch=8, seed=1, step=0, rank=0, world=1))
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    history = []
    for step in range(30):
        values = task.losses("matte", batch, step)
        optimiser.zero_grad()
        torch.autograd.backward(values["loss"])
        optimiser.step()
        history.append(float(values["loss"].detach()))
    assert np.mean(history[-3:]) < 0.7 * np.mean(history[:3])


def test_a_batch_depends_on_seed_step_and_rank_only(folder: Path) -> None:
    first, again = draw(build(folder)), draw(build(folder))
    assert first["picture"].shape == (4, 3, SIDE, SIDE)
    assert first["picture"].dtype == torch.uint8
    assert first["mask"].shape == (4, MATTE_SIDE, MATTE_SIDE)
    assert 0 <= first["mask"].min() < first["mask"].max() <= 1
    assert all(torch.equal(first[key], again[key]) for key in first)
    for changes in ({"seed": 4}, {"step": 6}, {"rank": 1}):
        assert not torch.equal(draw(build(folder), **changes)["picture"], first["picture"])


def test_a_mask_goes_where_its_picture_goes(tmp_path: Path) -> None:
    for part in ("train", "val"):
        make_store(tmp_path / part)
        # Pictures that show nothing but their masks.
        masks = np.load(tmp_path / part / "masks.npy")
        frames = [cv2.resize(mask, (256, 256), interpolation=cv2.INTER_LINEAR) for mask in masks]
        np.save(tmp_path / part / "frames.npy", np.repeat(np.stack(frames)[..., None], 3, -1))
    batch = next(build(tmp_path).loader(batch=24, seed=0, step=0, rank=0, world=1))
    small = torch.nn.functional.avg_pool2d(batch["picture"].float().mean(1), 2).numpy()
    alike = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(small, batch["mask"], strict=True)
    ]
    assert min(alike) > 0.8
    wrong = [
        np.corrcoef(a[:, ::-1].ravel(), b.ravel())[0, 1]
        for a, b in zip(small, batch["mask"], strict=True)
    ]
    assert np.mean(wrong) < np.mean(alike) - 0.05


def test_validation_gives_a_score_and_a_grid(folder: Path) -> None:
    task = build(folder)
    network: Any = task.networks()["matte"].eval()
    with torch.no_grad():
        one, two, grid = task.validate(network), task.validate(network), task.pictures(network)
    assert one == two
    assert 0 < one["score"] < 1
    assert 0 <= one["over_union"] <= 1
    assert grid is not None
    assert grid.shape == (3 * SIDE, 4 * SIDE, 3)


def test_a_store_without_masks_is_refused(folder: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "train")
    make_store(tmp_path / "val")
    (tmp_path / "val" / "masks.npy").unlink()
    with pytest.raises(InputError, match=r"^expected masks in .*val, found none: prepare it"):
        build(tmp_path)
    with pytest.raises(InputError, match=r"^expected other clips to validate on than to train on"):
        build(folder, "train")
