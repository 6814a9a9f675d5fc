# SPDX-License-Identifier: Apache-2.0
"""Configurations are read strictly, and errors say in one line what is wrong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from talkcodec.errors import InputError
from training.config import OptimiserConfig, RunConfig, load_config, parse

TEXT = """
[run]
out = "runs/x"
steps = 100
batch = 8
[optimiser]
lr = 1
betas = [0.5, 0.9]
[task]
name = "tracker"
store = "data"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "x.toml"
    file.write_text(TEXT)
    return file


def test_a_file_becomes_dataclasses_with_defaults(path: Path) -> None:
    config = load_config(path)
    assert config.run == RunConfig(out="runs/x", steps=100, batch=8)
    assert config.optimiser == OptimiserConfig(lr=1.0, betas=(0.5, 0.9))
    assert type(config.optimiser.lr) is float
    assert config.task == {"name": "tracker", "store": "data"}


def test_overrides_take_toml_values_or_plain_words(path: Path) -> None:
    config = load_config(path, ["run.steps=7", "task.store=other/place", "task.sides=[1, 2]"])
    assert config.run.steps == 7
    assert config.task["store"] == "other/place"
    assert config.task["sides"] == [1, 2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.stepz=1", r"expected a key of run\.\{out, steps.*found 'stepz'"),
        ("run.steps=1.5", r"expected run\.steps of int, found 1\.5"),
        ("run.steps=true", r"expected run\.steps of int, found True"),
        ("run.steps=0", r"expected run\.steps of 1 or more, found 0"),
        ("run.precision=fp8", r"expected run\.precision of Literal\['auto'.*found 'fp8'"),
        ("optimiser.betas=[0.9]", r"expected optimiser\.betas of tuple.*found \[0\.9\]"),
        ("optimiser.lr=nan", r"expected optimiser\.lr of float, found nan"),
        ("optimiser.ema=1.0", r"expected ema and betas below 1"),
        ("loss.l1=1", r"expected a key of \{run, task, optimiser\}, found 'loss'"),
        ("steps=1", r"expected an override such as run\.steps=10"),
        ("run.steps.x=1", r"expected a table at 'steps'"),
    ],
)
def test_mistakes_are_told_in_one_line(path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_config(path, [override])
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(path: Path) -> None:
    path.write_text('[run]\nout = "x"\nbatch = 1\n[task]\nname = "tracker"\n')
    with pytest.raises(InputError, match=r"^expected run\.steps, found none$"):
        load_config(path)


@pytest.mark.parametrize("text", ["run = [", None])
def test_what_is_no_toml_file_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"^expected a TOML file, found .*bad\.toml"):
        load_config(path)


@dataclass(frozen=True)
class Inner:
    side: int | None = None
    names: tuple[str, ...] = ()
    folder: Path = Path()
    kind: Literal[1, 2] = 1


def test_a_task_s_own_dataclass_is_read_the_same_way() -> None:
    fields = {"side": 3, "names": ["a", "b"], "folder": "x/y", "kind": 2}
    assert parse(Inner, fields, "task") == Inner(3, ("a", "b"), Path("x/y"), 2)
    with pytest.raises(InputError, match=r"task\.names"):
        parse(Inner, {"names": ["a", 1]}, "task")
    with pytest.raises(InputError, match=r"task\.kind"):
        parse(Inner, {"kind": True}, "task")


def test_the_rate_rises_then_falls_as_a_cosine() -> None:
    config = OptimiserConfig(lr=2.0, warmup=10, lr_end=0.1)
    rates = [config.rate(step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == 2.0
    assert rates[60] == pytest.approx(1.1)
    assert rates[110] == pytest.approx(0.2)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert OptimiserConfig(lr=2.0, warmup=0, decay="constant").rate(70, 110) == 2.0


def test_reading_a_configuration_does_not_import_torch() -> None:
    code = "import sys, training.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
