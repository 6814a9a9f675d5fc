# SPDX-License-Identifier: Apache-2.0
"""The generator's samples are what a call would show, and it learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from talkcodec import weights
from talkcodec.errors import InputError
from talkcodec.models.generator import GeneratorNet, warp
from talkcodec.reference.av1 import INTER_QUALITY, KEY_QUALITY
from talkcodec.render.resample import enlarged, resample
from tests.training.tiny import make_store
from training.checkpoint import BEST, save_best
from training.coded import CodedStore, code, restore
from training.task import Task, build_task
from training.tasks.driven import Draw, Group, Stager, collate, draw_group, mirrored

SMALL = {"widths": [4, 6, 8], "width": 4, "side": 32, "validate_groups": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("coded")
    for name in ("train", "val"):
        make_store(made / name, frames=8)
        code(made / name, (120, 150))
        restore(made / name)
    return made


@pytest.fixture(scope="module")
def store(folder: Path) -> CodedStore:
    return CodedStore.open(folder / "train")


def build(folder: Path, **changes: Any) -> Task:
    torch.manual_seed(0)
    stores = {"train": str(folder / "train"), "validate": str(folder / "val")}
    return build_task({"name": "generator", **stores, **SMALL, **changes})


def a_group(store: CodedStore, **how: Any) -> Group:
    return draw_group(Stager(store), store, 0, Draw(**how), np.random.default_rng(2))


def tensors(group: Group) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in collate([group]).items()}


def test_a_coded_store_has_references_of_every_clip(store: CodedStore) -> None:
    assert set(store.of_clip) == {0, 1}
    for clip, rows in store.of_clip.items():
        assert (store.store.clip[store.frame[rows]] == clip).all()
    later = INTER_QUALITY - KEY_QUALITY
    assert ((store.quality >= 120) & (store.quality <= 150 + later)).all()
    assert (store.quality <= 150).any()  # every chain begins with a key picture
    for row, frame in enumerate(store.frame):
        off = np.abs(store.references[row].astype(int) - store.store.frames[frame])
        assert 0.5 < off.mean() < 6  # coded, but the same picture
    assert store.restored is not None
    change = np.abs(store.restored.astype(int) - store.references)
    assert 0 < change.mean() < 4
    gap = np.linalg.norm(store.tracked - store.store.landmarks, axis=-1)
    assert np.median(gap) < 3


def test_a_store_that_was_not_coded_is_told_in_one_line(tmp_path: Path) -> None:
    make_store(tmp_path / "bare", frames=2)
    with pytest.raises(InputError, match=r"^expected a coded store in .*: python -m training.code"):
        CodedStore.open(tmp_path / "bare")


def test_the_network_warps_as_the_renderer_does(store: CodedStore) -> None:
    group = a_group(store)
    staged = group.frames[0].staged
    wanted = resample(enlarged(group.reference), staged.field)
    batch = tensors(group)
    found = warp(batch["reference"].float(), batch["field"][:1])[0].permute(1, 2, 0).numpy()
    assert np.abs(found - wanted)[~staged.patched].mean() < 0.5
    assert (wanted[~staged.patched] == staged.warped[~staged.patched]).mean() > 0.99


def test_a_new_network_changes_little(store: CodedStore) -> None:
    """It starts from the geometric picture."""
    torch.manual_seed(1)
    network = GeneratorNet(widths=(4, 6, 8), width=4).eval()
    batch = tensors(a_group(store))
    with torch.no_grad():
        made = network(batch)
    assert (made["painted"] - batch["warped"].float()).abs().mean() < 3


def test_a_mirrored_group_is_drawn_mirrored(store: CodedStore) -> None:
    group = a_group(store)
    other = mirrored(group)
    one, two = tensors(group), tensors(other)
    flipped = warp(two["reference"].float(), two["field"][:1]).flip(-1)
    assert (flipped - warp(one["reference"].float(), one["field"][:1])).abs().mean() < 0.05
    again = mirrored(other)
    for frame, back in zip(group.frames, again.frames, strict=True):
        assert np.array_equal(frame.staged.flow, back.staged.flow)
        assert np.array_equal(frame.staged.drive, back.staged.drive)
        assert frame.mouth == pytest.approx(back.mouth)
        assert np.allclose(frame.face, back.face)


def test_windows_follow_one_another(store: CodedStore) -> None:
    group = a_group(store, frames=3, windows=1.0)
    assert group.window
    assert len(group.frames) == 3
    assert not a_group(store, windows=0.0).window


def test_it_learns_a_batch(folder: Path) -> None:
    task = build(folder, temporal=0.05, windows=0.5, adversarial=0.1, matching=0.5, judges=8)
    assert task.turns == ("generator", "discriminators")
    networks = task.networks()
    task.attach(networks)
    batch = next(task.loader(batch=4, seed=1, step=0, rank=0, world=1))
    optimisers = {n: torch.optim.AdamW(net.parameters(), 5e-4) for n, net in networks.items()}
    near = []
    for step in range(32):
        for turn in task.turns:
            values = task.losses(turn, batch, step)
            assert all(value.ndim == 0 and value.isfinite() for value in values.values())
            optimisers[turn].zero_grad()
            torch.autograd.backward(values["loss"])
            optimisers[turn].step()
            if turn == "generator":
                assert {"landmarks", "temporal", "adversarial", "matching"} <= values.keys()
                near.append(float(values["near"].detach()))
    assert near[-1] < 0.95 * near[0]


def test_a_batch_depends_on_seed_step_and_rank_only(folder: Path) -> None:
    def draw(seed: int = 3, step: int = 5, rank: int = 0) -> dict[str, torch.Tensor]:
        task = build(folder)
        return next(task.loader(batch=4, seed=seed, step=step, rank=rank, world=1))

    first = draw()
    again = draw()
    assert all(torch.equal(again[name], first[name]) for name in first)
    for unlike in (draw(seed=4), draw(step=6), draw(rank=1)):
        assert not torch.equal(unlike["truth"], first["truth"])


def test_validation_repeats_itself_and_knows_the_warp(folder: Path) -> None:
    task = build(folder)
    network = task.networks()["generator"].eval()
    with torch.no_grad():
        one, two = task.validate(network), task.validate(network)
        grid = task.pictures(network)
    assert one == two
    assert 0.7 < one["score"] < 1.5
    assert one["warp_lpips"] > 0
    assert grid is not None
    assert grid.shape == (8 * 256, 4 * 256, 3)


def test_references_must_have_been_restored(tmp_path: Path) -> None:
    make_store(tmp_path, frames=8)
    code(tmp_path, (120, 150))
    store = CodedStore.open(tmp_path)
    assert store.restored is None
    with pytest.raises(InputError, match=r"^expected restored references: .* --restore$"):
        Stager(store)
    restore(tmp_path)
    Stager(CodedStore.open(tmp_path))
    code(tmp_path, (120, 150))  # other pictures: what was restored is gone
    assert CodedStore.open(tmp_path).restored is None


def test_a_run_may_begin_from_another_ones_weights(folder: Path, tmp_path: Path) -> None:
    first = build(folder).networks()["generator"]
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1)
    save_best(tmp_path, first, {})
    second = build(folder, start=str(tmp_path / BEST)).networks()["generator"]
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(InputError, match=r"^expected weights to begin from in .*, found "):
        build(folder, start=str(tmp_path / BEST), width=6).networks()
    with pytest.raises(InputError, match=r"^expected weights to begin from in .*, found "):
        build(folder, start=str(tmp_path / "nothing")).networks()


def test_a_run_may_begin_from_what_ships(folder: Path) -> None:
    """Folded networks have no statistics left to train with; they are given those of its data."""
    shipped = {"widths": [24, 48, 80], "width": 16, "start": str(weights.FOLDER)}
    task = build(folder, **shipped)
    begun = task.networks()["generator"]
    plain = build(folder, **shipped | {"start": ""}).networks()["generator"]
    for name, part in plain.parts().items():  # type: ignore[operator]
        part.load_state_dict(load_file(weights.FOLDER / f"{name}.safetensors"))
    batch = next(task.loader(batch=8, seed=3, step=0, rank=0, world=1))
    with torch.no_grad():
        truth = plain.eval()(batch)["painted"]
        assert torch.allclose(begun.eval()(batch)["painted"], truth, atol=0.2)
        assert (begun.train()(batch)["painted"] - truth).abs().mean() < 1
        assert (plain.train()(batch)["painted"] - truth).abs().mean() > 1


def test_frames_may_be_drawn_for_being_far_from_their_reference(store: CodedStore) -> None:
    def moved(**how: Any) -> float:
        stager, far = Stager(store), []
        for seed in range(12):
            random = np.random.default_rng(seed)
            group = draw_group(stager, store, 0, Draw(1, 1, **how), random)
            far.append(np.abs(group.frames[0].staged.flow[:2]).mean())
        return float(np.mean(far))

    assert moved(far=1.0) > 1.1 * moved(far=0.0)
