# SPDX-License-Identifier: Apache-2.0
"""Every configuration that ships loads, trains a little, and leaves what can be exported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from talkcodec.cli.main import app
from tests.training.tiny import make_store
from training.coded import code, restore
from training.config import CONFIGS, load_config
from training.export import load_best

SHIPPED = sorted(CONFIGS.glob("*.toml"))

#: What makes two steps of each task quick.
QUICK = {
    "tracker": ["task.validate_frames=50"],
    "details": ["task.validate_frames=50"],
    "detector": ["task.validate_pictures=50"],
    "restorer": ["task.validate_references=2", "task.side=32"],
    "matte": ["task.validate_frames=8"],
    "generator": ["task.validate_groups=2", "task.side=32"],
    "mouth": ["task.validate_groups=2"],
    "eyes": ["task.validate_groups=2"],
}


def make_frames(folder: Path) -> None:
    make_store(folder, frames=4)


def make_coded(folder: Path) -> None:
    make_store(folder, frames=8)
    code(folder, (120, 160))


def make_restored(folder: Path) -> None:
    make_coded(folder)
    restore(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "tracker": make_frames,
    "details": make_frames,
    "detector": make_frames,
    "restorer": make_coded,
    "matte": make_frames,
    "generator": make_restored,
    "mouth": make_restored,
    "eyes": make_restored,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """A run sets the process's number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_there_are_configurations() -> None:
    assert {"tracker", "detector", "restorer", "generator", "mouth", "eyes"} <= {
        p.stem for p in SHIPPED
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_trains(path: Path, tmp_path: Path) -> None:
    name = load_config(path).task["name"]
    assert name in MAKERS, f"what is {name} trained on? Tell this test"
    for part in ("train", "val"):
        MAKERS[name](tmp_path / part)
    changes = [
        f"task.train={tmp_path / 'train'}",
        f"task.validate={tmp_path / 'val'}",
        "run.steps=2",
        "run.batch=4",
        "run.workers=0",
        "run.device=cpu",
        *QUICK[name],
    ]
    command = ["train", name, "--config", str(path), "--out", str(tmp_path / "run"), "--json"]
    told = CliRunner().invoke(app, [*command, *(x for c in changes for x in ("--set", c))])
    assert told.exit_code == 0, told.stderr
    outcome = json.loads(told.stdout)
    assert (outcome["step"], outcome["reason"]) == (2, "done")
    assert outcome["best"] > 0
    best = load_best(tmp_path / "run")
    assert (best.name, best.step) == (name, 2)
    assert list((tmp_path / "run" / "pictures").glob("*.png"))
    again = CliRunner().invoke(app, [*command, *(x for c in changes for x in ("--set", c))])
    assert again.exit_code == 1
    assert again.stderr.startswith("talkcodec: expected a new folder, found step-00000002")


def test_a_configuration_of_another_task_is_refused(tmp_path: Path) -> None:
    command = ["train", "detector", "--config", str(CONFIGS / "tracker.toml")]
    told = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run")])
    assert told.exit_code == 1
    assert told.stderr == "talkcodec: expected task.name of 'detector', found 'tracker'\n"
    assert not (tmp_path / "run").exists()


def test_a_configuration_without_its_store_is_told_in_one_line(tmp_path: Path) -> None:
    command = ["train", "tracker", "--config", str(CONFIGS / "tracker.toml")]
    told = CliRunner().invoke(
        app, [*command, "--out", str(tmp_path / "run"), "--set", "task.train=nowhere"]
    )
    assert told.exit_code == 1
    assert told.stderr.startswith("talkcodec: expected a frame store in nowhere, found")
    assert told.stderr.count("\n") == 1
