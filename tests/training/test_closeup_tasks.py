# SPDX-License-Identifier: Apache-2.0
"""Networks that look closely see crops of staged pictures beside what was there, and learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from talkcodec.models.blocks import to_cells
from talkcodec.render.closeup import EYES_PART, MOUTH_PART, Part
from tests.training.tiny import make_store, moved
from training.coded import CodedStore, code, restore
from training.task import Task, build_task
from training.tasks.closeup import CloseupTask, batch_of
from training.tasks.driven import Stager, mirrored, mirrored_box, toned_planes

SMALL = {"widths": [4, 6, 8], "validate_groups": 2}

both = pytest.mark.parametrize("part", [MOUTH_PART, EYES_PART], ids=lambda part: part.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("coded")
    for name in ("train", "val"):
        make_store(made / name, frames=8)
        code(made / name, (120, 150))
        restore(made / name)
    return made


def build(folder: Path, part: Part, **changes: Any) -> Task:
    torch.manual_seed(0)
    stores = {"train": str(folder / "train"), "validate": str(folder / "val")}
    return build_task({"name": part.name, **stores, **SMALL, **changes})


def draw(task: Task, *, seed: int = 1, step: int = 0, rank: int = 0) -> dict[str, torch.Tensor]:
    return next(task.loader(batch=6, seed=seed, step=step, rank=rank, world=1))


@both
def test_both_crops_show_the_same_part(folder: Path, part: Part) -> None:
    batch = draw(build(folder, part))
    assert batch["part"].shape == (6, 9, part.height, part.width)
    assert batch["truth"].shape == (6, 3, part.height, part.width)
    drawn, truth = batch["part"][:, :3].float(), batch["truth"].float()
    off = (drawn - truth).abs().mean((1, 2, 3))
    elsewhere = (drawn.roll(12, -2) - truth).abs().mean((1, 2, 3))
    assert off.mean() < 0.6 * elsewhere.mean()


@both
def test_a_batch_depends_on_seed_step_and_rank_only(folder: Path, part: Part) -> None:
    first, again = draw(build(folder, part)), draw(build(folder, part))
    assert all(torch.equal(first[name], again[name]) for name in first)
    for unlike in ({"seed": 2}, {"step": 1}, {"rank": 1}):
        assert not torch.equal(draw(build(folder, part), **unlike)["part"], first["part"])


def test_open_mouths_and_shut_eyes_are_drawn_more_often(folder: Path) -> None:
    for part in (MOUTH_PART, EYES_PART):
        task = build(folder, part)
        assert isinstance(task, CloseupTask)
        interest, gaps = task._interest, task._gaps((13, 14) if part is MOUTH_PART else (159, 145))
        assert interest.min() > 0
        assert len(interest) == 8
        order = np.corrcoef(interest[:4], gaps[:4])[0, 1]
        assert order > 0.9 if part is MOUTH_PART else order < 0


@both
def test_a_crop_of_the_mirror_image_is_the_mirrored_crop(folder: Path, part: Part) -> None:
    picture, marks = moved(3)
    box = part.box(marks.astype(np.float64))
    flipped = np.ascontiguousarray(picture[:, ::-1])
    crop = part.crop(flipped, mirrored_box(box, part.width)).astype(int)
    assert np.abs(crop - part.crop(picture, box)[:, ::-1]).max() <= 4
    store = CodedStore.open(folder / "train")
    rows, frames = store.of_clip[0][:2], np.array([0, 1], np.int32)
    group = Stager(store, (part,)).group(rows, frames, np.zeros(2, np.bool_))
    one, other = batch_of([group], part), batch_of([mirrored(group)], part)
    assert torch.equal(one["part"].flip(-1), other["part"])
    assert (one["truth"].flip(-1).int() - other["truth"].int()).abs().max() <= 4


def test_light_changes_pictures_and_no_outlines() -> None:
    part = np.full((9, 48, 128), 100, np.uint8)
    curve = np.full((1, 256, 3), (1, 2, 3), np.uint8)
    assert toned_planes(part, curve)[:, 0, 0].tolist() == [1, 2, 3, 100, 100, 1, 2, 3, 100]


@both
def test_it_learns_a_batch_and_begins_with_the_picture_as_it_is(folder: Path, part: Part) -> None:
    task = build(folder, part)
    networks = task.networks()
    task.attach(networks)
    batch = draw(task)
    assert networks[part.name](to_cells(batch["part"])).abs().mean() < 1
    optimiser = torch.optim.AdamW(networks[part.name].parameters(), 3e-3)
    losses = []
    for step in range(20):
        values = task.losses(part.name, batch, step)
        assert set(values) == {"loss", "near", "dists", "features", "lpips"}
        optimiser.zero_grad()
        torch.autograd.backward(values["loss"])
        optimiser.step()
        losses.append(float(values["loss"].detach()))
    assert losses[-1] < 0.97 * losses[0]


@both
def test_validation_repeats_itself_and_no_change_scores_one(folder: Path, part: Part) -> None:
    task = build(folder, part)

    class Nothing(torch.nn.Module):
        def forward(self, cells: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(cells[:, :12])

    one, two = task.validate(Nothing()), task.validate(Nothing())
    assert one == two
    assert one["score"] == pytest.approx(1)
    grid = task.pictures(Nothing())
    assert grid is not None
    assert grid.shape == (4 * part.height, 4 * part.width, 3)
