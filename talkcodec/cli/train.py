# SPDX-License-Identifier: Apache-2.0
"""``talkcodec train``: from a folder of clips to the weights in the wheel."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.evaluate import evaluate
from talkcodec.cli.export import export
from talkcodec.cli.output import Json, print_json, train_packages
from talkcodec.cli.prepare import prepare, store
from talkcodec.errors import InputError

if TYPE_CHECKING:
    from training.config import Config
    from training.loop import Outcome

app = typer.Typer(no_args_is_help=True, help="Prepare data, train networks, export and measure.")
app.command()(prepare)
app.command()(store)
app.command()(export)
app.command()(evaluate)

ConfigFile = Annotated[Path, typer.Option("--config", help="TOML file; see training/configs.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Replace a value of the file."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run, as run.out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint, if any.")]
MaxMinutes = Annotated[
    float | None, typer.Option(min=0, help="Validate, save and end after so long.")
]


#: What can be trained, and what its command says of it.
TRAINED = {
    "tracker": "Train the face tracker's network.",
    "details": "Train what reads lips, lids and irises from nearer.",
    "detector": "Train the face detector's network.",
    "restorer": "Train the network that restores decoded references.",
    "matte": "Train what tells a reference's person from what is behind.",
    "generator": "Train the generator: motion and painter, on restored references.",
    "mouth": "Train the network that paints mouths, on restored references.",
    "eyes": "Train the network that paints eyes, on restored references.",
}


def _command(task: str) -> Callable[..., None]:
    def command(
        config: ConfigFile,
        overrides: Set = None,
        out: Out = None,
        resume: Resume = False,
        max_minutes: MaxMinutes = None,
        as_json: Json = False,
    ) -> None:
        _train(task, config, overrides or [], out, resume, max_minutes, as_json)

    return command


for _task, _told in TRAINED.items():
    app.command(_task, help=_told)(_command(_task))


def _train(
    task: str,
    path: Path,
    overrides: list[str],
    out: Path | None,
    resume: bool,
    max_minutes: float | None,
    as_json: bool,
) -> None:
    from training.config import load_config

    if out is not None:
        overrides = [*overrides, f"run.out={json.dumps(str(out))}"]
    config = load_config(path, overrides)
    if config.task.get("name") != task:
        raise InputError(f"expected task.name of {task!r}, found {config.task.get('name')!r}")
    with train_packages():
        from training.loop import train
        from training.task import build_task
    outcome = train(config, lambda: build_task(config.task), resume=resume, max_minutes=max_minutes)
    _report(config, outcome, as_json=as_json)


def _report(config: Config, outcome: Outcome, *, as_json: bool) -> None:
    if not outcome.first:  # of several processes one speaks
        return
    if as_json:
        print_json(
            {
                "run": config.run.out,
                "step": outcome.step,
                "reason": outcome.reason,
                "best": outcome.best,
            }
        )
        return
    best = "" if outcome.best is None else f", best score {outcome.best:.5g}"
    typer.echo(f"{config.run.out}: step {outcome.step} of {config.run.steps}{best}")
    if outcome.reason != "done":
        words = ["talkcodec", *sys.argv[1:]]
        again = words if "--resume" in words else [*words, "--resume"]
        typer.echo(f"stopped; go on with: {shlex.join(again)}", err=True)
