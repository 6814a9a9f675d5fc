# SPDX-License-Identifier: Apache-2.0
"""The restorer sees references as decoded beside what they were, and learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.tiny import make_store
from training.coded import CodedStore, code
from training.task import Task, build_task

SMALL = {"width": 4, "blocks": 1, "side": 48, "validate_references": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("coded")
    for name in ("train", "val"):
        make_store(made / name, frames=8)
        code(made / name, (140, 140))
    return made


def build(folder: Path, **changes: Any) -> Task:
    torch.manual_seed(0)
    stores = {"train": str(folder / "train"), "validate": str(folder / "val")}
    return build_task({"name": "restorer", **stores, **SMALL, **changes})


def draw(task: Task, *, seed: int = 1, step: int = 0, rank: int = 0) -> dict[str, torch.Tensor]:
    return next(task.loader(batch=6, seed=seed, step=step, rank=rank, world=1))


def test_both_pictures_of_a_pair_show_the_same_crop(folder: Path) -> None:
    batch = draw(build(folder))
    assert batch["coded"].shape == batch["original"].shape == (6, 3, 48, 48)
    for coded, original in zip(batch["coded"].float(), batch["original"].float(), strict=True):
        off = (coded - original).abs().mean()
        assert 0 < off < 6
        # A crop from elsewhere, or mirrored, is much further away where there is anything to see.
        assert off < 0.5 * (coded.flip(-1) - original).abs().mean() or original.std() < 8


def test_a_batch_depends_on_seed_step_and_rank_only(folder: Path) -> None:
    first, again = draw(build(folder)), draw(build(folder))
    assert all(torch.equal(first[name], again[name]) for name in first)
    for unlike in ({"seed": 2}, {"step": 1}, {"rank": 1}):
        assert not torch.equal(draw(build(folder), **unlike)["coded"], first["coded"])


def test_it_learns_a_batch_and_begins_with_the_picture_as_it_is(folder: Path) -> None:
    task = build(folder)
    networks = task.networks()
    task.attach(networks)
    batch = draw(task)
    before = networks["restorer"](batch["coded"])
    assert (before - batch["coded"].float()).abs().mean() < 1
    optimiser = torch.optim.AdamW(networks["restorer"].parameters(), 1e-3)
    losses = []
    for step in range(40):
        values = task.losses("restorer", batch, step)
        assert set(values) == {"loss", "near", "dists", "features", "lpips"}
        optimiser.zero_grad()
        torch.autograd.backward(values["loss"])
        optimiser.step()
        losses.append(float(values["loss"].detach()))
    assert losses[-1] < 0.97 * losses[0]


def test_validation_repeats_itself_and_a_picture_as_it_was_coded_scores_one(folder: Path) -> None:
    task = build(folder)
    network = torch.nn.Identity()
    with torch.no_grad():
        one, two = task.validate(network), task.validate(network)
        grid = task.pictures(network)
    assert one == two
    assert one["score"] == pytest.approx(1)
    assert one["near"] == pytest.approx(one["coded_near"])
    assert grid is not None
    assert grid.shape == (3 * 256, 3 * 256, 3)


def test_chances_go_from_equal_clips_to_equal_frames(folder: Path) -> None:
    store = CodedStore.open(folder / "train")
    frames = np.bincount(store.store.clip)
    assert np.allclose(store.chances(0), 1 / len(frames))
    assert np.allclose(store.chances(1), frames / frames.sum())
