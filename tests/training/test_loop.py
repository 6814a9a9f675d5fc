# SPDX-License-Identifier: Apache-2.0
"""The loop learns, goes on exactly where it was, and survives bad steps."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from talkcodec.errors import InputError
from tests.training.toy import ToyNet, ToyOptions, ToyTask
from training.checkpoint import checkpoints
from training.config import Config, OptimiserConfig, RunConfig
from training.loop import Outcome, train


def config(out: Path, *, steps: int = 24, **run: Any) -> Config:
    values: dict[str, Any] = {"log_every": 7, "validate_every": 8, "save_every": 6}
    values |= {"precision": "32-true"} | run
    return Config(
        RunConfig(out=str(out), steps=steps, batch=8, device="cpu", **values),
        {"name": "toy"},
        OptimiserConfig(warmup=4, ema=0.9),
    )


def run(task: ToyTask, settings: Config, **how: Any) -> Outcome:
    return train(settings, lambda: task, **how)


class Interrupted(Exception):
    """What a power cut looks like from outside."""


class Hooked(ToyTask):
    """Does something before a step."""

    def __init__(self, at: int, action: Callable[[], None]) -> None:
        super().__init__(ToyOptions())
        self.at, self.action = at, action

    def losses(self, turn: str, batch: Any, step: int) -> Any:
        if step == self.at:
            self.action()
        return super().losses(turn, batch, step)


def cut() -> None:
    raise Interrupted


def weights(out: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name in ("weights", "ema", "optimiser"):
        tensors = load_file(checkpoints(out)[-1] / f"{name}.safetensors")
        found |= {f"{name}:{key}": value for key, value in tensors.items()}
    return found


def records(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    timed = {"samples_per_second", "seconds"}
    return [{k: v for k, v in x.items() if k not in timed} for x in lines if x["kind"] == kind]


def test_training_lowers_the_loss_and_keeps_the_best_weights(tmp_path: Path) -> None:
    task = ToyTask(ToyOptions())
    outcome = run(task, config(tmp_path, steps=60))
    assert outcome.reason == "done"
    assert outcome.step == 60
    losses = [loss for _, loss in task.seen]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    scores = [record["score"] for record in records(tmp_path, "validate")]
    assert len(scores) == 8  # every 8 steps and at the end
    assert outcome.best == min(scores)
    with safe_open(tmp_path / "best.safetensors", "pt") as file:
        assert float(file.metadata()["score"]) == outcome.best
    network = ToyNet().eval()
    network.load_state_dict(load_file(tmp_path / "best.safetensors"))
    with torch.no_grad():
        assert task.validate(network)["score"] == pytest.approx(outcome.best)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("at", [6, 17])
def test_an_interrupted_run_goes_on_bit_identically(tmp_path: Path, at: int, workers: int) -> None:
    whole, first, second = ToyTask(ToyOptions()), Hooked(at, cut), ToyTask(ToyOptions())
    run(whole, config(tmp_path / "a"))
    with pytest.raises(Interrupted):
        run(first, config(tmp_path / "b", workers=workers))
    run(second, config(tmp_path / "b"), resume=True)
    begin = at - at % 6
    assert first.seen == whole.seen[:at]
    assert second.seen == whole.seen[begin:]
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    for kind in ("train", "validate"):
        assert records(tmp_path / "a", kind) == records(tmp_path / "b", kind)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends(tmp_path: Path, number: signal.Signals) -> None:
    task = Hooked(9, lambda: os.kill(os.getpid(), number))
    outcome = run(task, config(tmp_path))
    assert (outcome.step, outcome.reason) == (10, "signal")
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000006", "step-00000010"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert run(ToyTask(ToyOptions()), config(tmp_path), resume=True).step == 24


def test_time_that_runs_out_validates_and_saves(tmp_path: Path) -> None:
    outcome = run(ToyTask(ToyOptions()), config(tmp_path), max_minutes=0)
    assert (outcome.step, outcome.reason) == (1, "time")
    assert outcome.best is not None
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000001"]


def test_steps_that_are_not_finite_change_nothing_and_are_counted(tmp_path: Path) -> None:
    task = ToyTask(ToyOptions(poison=(3, 4, 9)))
    run(task, config(tmp_path))
    assert records(tmp_path, "train")[-1]["skipped"] == 3
    assert all(torch.isfinite(value).all() for value in weights(tmp_path).values())


def test_a_poisoned_step_leaves_weights_and_statistics_alone(tmp_path: Path) -> None:
    poison = tuple(range(6, 30))
    run(ToyTask(ToyOptions(poison=poison)), config(tmp_path, steps=18))
    at_12, at_18 = (load_file(path / "weights.safetensors") for path in checkpoints(tmp_path))
    assert all(torch.equal(at_12[key], at_18[key]) for key in at_12)


def test_losses_that_stay_bad_end_the_run_in_one_line(tmp_path: Path) -> None:
    task = ToyTask(ToyOptions(poison=tuple(range(2, 90))))
    with pytest.raises(InputError, match=r"^expected finite losses, found 20 steps without"):
        run(task, config(tmp_path, steps=90))
    assert len(task.seen) == 22


def test_a_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    run(ToyTask(ToyOptions()), config(tmp_path, steps=2))
    with pytest.raises(InputError, match=r"^expected a new folder, found step-00000002"):
        run(ToyTask(ToyOptions()), config(tmp_path))


def test_a_damaged_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    run(ToyTask(ToyOptions()), config(tmp_path, steps=2))
    (checkpoints(tmp_path)[-1] / "ema.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"^expected a checkpoint of these networks in"):
        run(ToyTask(ToyOptions()), config(tmp_path), resume=True)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    class Bigger(ToyTask):
        def networks(self) -> Any:
            return {"toy": torch.nn.Sequential(ToyNet())}

    run(ToyTask(ToyOptions()), config(tmp_path, steps=2))
    with pytest.raises(InputError, match=r"^expected a checkpoint of these networks") as caught:
        run(Bigger(ToyOptions()), config(tmp_path), resume=True)
    assert "\n" not in str(caught.value)


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    """It would be told as if all of it had been trained on what came last."""

    class Other(ToyTask):
        def data(self) -> dict[str, Any]:
            return {"licences": ["CC-BY-NC-4.0"], "clips": 0}

    run(Other(ToyOptions()), config(tmp_path, steps=6))
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError, match=r"^expected the data that .*run\.json tells of") as told:
        run(ToyTask(ToyOptions()), config(tmp_path), resume=True)
    assert "CC-BY-NC-4.0" in str(told.value)
    assert "\n" not in str(told.value)
    assert (tmp_path / "run.json").read_bytes() == before
    (tmp_path / "run.json").unlink()
    with pytest.raises(InputError, match=r"^expected what was trained on in .*run\.json, found"):
        run(Other(ToyOptions()), config(tmp_path), resume=True)


def test_the_best_weights_say_what_they_were_made_from(tmp_path: Path) -> None:
    task = ToyTask(ToyOptions())
    run(task, config(tmp_path, steps=2))
    with safe_open(tmp_path / "best.safetensors", "pt") as file:
        assert json.loads(file.metadata()["data"]) == task.data()


def test_two_turns_train_each_its_own_network(tmp_path: Path) -> None:
    graded: list[tuple[str, int, bool, bool]] = []

    class Two(ToyTask):
        turns = ("one", "two")

        def losses(self, turn: str, batch: Any, step: int) -> Any:
            one, two = (self.attached[name] for name in self.turns)
            trained = [all(p.requires_grad for p in net.parameters()) for net in (one, two)]
            graded.append((turn, step, trained[0], trained[1]))
            loss = (one(batch["picture"]) - two(batch["picture"])).square().mean()
            return {"loss": loss if turn == "one" else -loss}

    run(Two(ToyOptions()), config(tmp_path, steps=3, save_every=1))
    turns = (("one", True, False), ("two", False, True))
    assert graded == [(name, step, *flags) for step in range(3) for name, *flags in turns]
    before, after = (load_file(path / "weights.safetensors") for path in checkpoints(tmp_path))
    for key in ("one/head.weight", "two/head.weight"):
        assert not torch.equal(before[key], after[key])


def test_pictures_and_a_stamp_are_left_in_the_folder(tmp_path: Path) -> None:
    run(ToyTask(ToyOptions()), config(tmp_path, steps=4, pictures_every=2, validate_every=2))
    grid = cv2.imread(str(tmp_path / "pictures" / "step-00000002.png"))
    assert grid is not None
    assert grid[0, 0].tolist() == [30, 10, 200]  # OpenCV reads BGR
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["config"]["run"]["steps"] == 4
    assert len(about["sources_sha256"]) == 64
    assert list((tmp_path / "tensorboard").iterdir())


def test_mixed_precision_trains_too(tmp_path: Path) -> None:
    task = ToyTask(ToyOptions())
    run(task, config(tmp_path, precision="bf16-mixed"))
    assert task.seen[-1][1] < task.seen[0][1]
    assert all(v.dtype == torch.float32 for k, v in weights(tmp_path).items() if ".weight" in k)


def test_workers_start_though_the_process_has_used_threads_of_opencv(tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3)).astype(np.uint8)
        cv2.GaussianBlur(noise, (0, 0), 5)  # its pool is there now
        assert run(ToyTask(ToyOptions()), config(tmp_path, steps=2, workers=1)).step == 2
    finally:
        cv2.setNumThreads(before)
