# SPDX-License-Identifier: Apache-2.0
"""The training loop, on Lightning Fabric: one device, many through torchrun, or a CPU.

A run goes on exactly where it was: the state is weights, averages, moments, counters and the
step. Everything random is a function of (seed, step, rank), so no generator has to be saved.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from talkcodec.errors import InputError
from training import checkpoint
from training.config import Config
from training.device import open_fabric
from training.feed import batches
from training.logs import Logs, check_data, stamp
from training.progress import ProgressLine
from training.signals import signals
from training.task import Batch, Task
from training.turns import Turns, seed

#: So many non-finite steps in a row end a run.
PATIENCE = 20

Reason = Literal["done", "signal", "time"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: after ``step`` steps, because of ``reason``; ``best``: its best score.
    ``first``: whether this process is the first of all.
    """

    step: int
    reason: Reason
    best: float | None
    first: bool = True


def train(
    config: Config,
    build: Callable[[], Task],
    *,
    resume: bool = False,
    max_minutes: float | None = None,
) -> Outcome:
    """Train the task that ``build`` makes, from the start or the newest checkpoint.

    With ``resume`` a run without a checkpoint starts. After ``max_minutes`` it validates, saves
    and ends; on SIGINT and SIGTERM it saves and ends.

    Raises:
        InputError: the folder holds a run that ``resume`` was not asked for, its checkpoint is
            of other networks or was trained on other data, or the losses stay non-finite.
    """
    out = Path(config.run.out)
    found = checkpoint.checkpoints(out)
    if found and not resume:
        raise InputError(f"expected a new folder, found {found[-1].name} in {out}: resume or move")
    fabric = open_fabric(config.run)
    torch.manual_seed(config.run.seed)
    run = _Run(fabric, config, build())
    if found:
        check_data(out, run.task.data())
        run.load(found[-1])
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    with ExitStack() as stack:
        if fabric.is_global_zero:
            out.mkdir(parents=True, exist_ok=True)
            stamp(out, dataclasses.asdict(config), run.task.data())
            run.logs = stack.enter_context(Logs(out, run.step))
            run.line = stack.enter_context(ProgressLine(config.run.steps, run.step))
        asked = stack.enter_context(signals())
        reason = run.fit(asked, deadline)
    return Outcome(run.step, reason, run.best, fabric.is_global_zero)


class _Run:
    """The state of a run: networks, step, best score, counters, and means since the last record."""

    def __init__(self, fabric: Fabric, config: Config, task: Task) -> None:
        self.fabric, self.config, self.task = fabric, config, task
        self.out = Path(config.run.out)
        self.turns = Turns(fabric, config, task)
        self.logs: Logs | None = None  # of the first process only
        self.line: ProgressLine | None = None
        self.step = 0
        self.best: float | None = None
        self._skipped = self._in_a_row = 0
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._seconds = 0.0

    def fit(self, asked: Callable[[], bool], deadline: float) -> Reason:
        """Train to the last step, until ``asked``, or until ``deadline`` of the monotonic clock."""
        run = self.config.run
        source = self._batches()
        saved = clock = time.monotonic()
        steps = 0  # since ``clock``, which leaves validation and saving out
        while self.step < run.steps:
            batch = self.fabric.to_device(next(source))
            values, good = self.turns.take(batch, self.step)
            self.step += 1
            steps += 1
            self._note(values, good=good)
            if self.step % run.log_every == 0:
                self._log(steps, time.monotonic() - clock)
                clock, steps = time.monotonic(), 0
            signalled, late = self._agree(asked(), time.monotonic() > deadline)
            last = self.step == run.steps or (late and not signalled)
            pause = time.monotonic()
            if last or _due(self.step, run.validate_every):
                self.validate(pictures=last or _due(self.step, run.pictures_every))
            (old,) = self._agree(0 < 60 * run.save_minutes < pause - saved)
            if last or signalled or old or _due(self.step, run.save_every):
                self.save()
                saved = time.monotonic()
            clock += time.monotonic() - pause
            if signalled or late:
                return "signal" if signalled else "time"
        return "done"

    def _note(self, values: dict[str, float], *, good: bool) -> None:
        """Add ``values`` to the means; end the run when steps stay non-finite."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        self._skipped += not good
        self._in_a_row = 0 if good else self._in_a_row + 1
        if self._in_a_row == PATIENCE:
            raise InputError(
                f"expected finite losses, found {PATIENCE} steps without at step {self.step}: "
                "try a lower optimiser.lr, or run.precision of 32-true"
            )
        if self.line is not None:
            self.line.advance(self.step)

    def _log(self, steps: int, seconds: float) -> None:
        """Write the means since the last time, and the speed of the last ``steps``."""
        self._seconds += seconds
        values = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        values["skipped"] = self._skipped
        values["samples_per_second"] = steps * self.config.run.batch / seconds
        values["seconds"] = self._seconds
        if self.logs is not None and self.line is not None:
            self.logs.record("train", self.step, values)
            self.line.log(self.step, values)

    def validate(self, *, pictures: bool) -> None:
        """Measure the averaged weights on one process; keep them if they are the best."""
        if self.logs is not None and self.line is not None:
            seed(self.config.run.seed)  # the same draws every time
            network = self.turns.ema.network
            with torch.no_grad():
                values = self.task.validate(network.eval())
                grid = self.task.pictures(network) if pictures else None
            self.logs.record("validate", self.step, values)
            self.line.tell(self.step, " ".join(f"{k} {v:.4g}" for k, v in values.items()))
            if grid is not None:
                self.logs.picture(self.step, grid)
            # Written so that a score of NaN is never the best.
            if values["score"] < (math.inf if self.best is None else self.best):
                self.best = values["score"]
                checkpoint.save_best(self.out, network, self._about(network))
        self.fabric.barrier()

    def _about(self, network: nn.Module) -> dict[str, str]:
        """Return the metadata of the best weights: enough to build and export their network, and
        what it was made from, which decides whether it may ship.
        """
        return {
            "step": str(self.step),
            "score": repr(self.best),
            "network": self.task.turns[0],
            "arguments": json.dumps(getattr(network, "arguments", {})),
            "data": json.dumps(self.task.data()),
        }

    def save(self) -> None:
        """Write a checkpoint, from one process."""
        if self.fabric.is_global_zero:
            state = {
                "best": self.best,
                "skipped": self._skipped,
                "in_a_row": self._in_a_row,
                "seconds": self._seconds,
                "sums": self._sums,
                "counts": self._counts,
            }
            turns = self.turns
            checkpoint.save(self.out, self.step, turns.networks, turns.optimisers, turns.ema, state)
        self.fabric.barrier()

    def load(self, path: Path) -> None:
        """Go on from the checkpoint ``path``."""
        turns = self.turns
        state = checkpoint.load(path, turns.networks, turns.optimisers, turns.ema)
        self.step, self.best, self._skipped = state["step"], state["best"], state["skipped"]
        self._in_a_row, self._seconds = state["in_a_row"], state["seconds"]
        self._sums, self._counts = state["sums"], state["counts"]

    def _agree(self, *flags: bool) -> list[bool]:
        """Return for each flag whether any process has raised it: all must do the same."""
        if self.fabric.world_size == 1:
            return list(flags)
        mine = torch.tensor(flags, dtype=torch.float32, device=self.fabric.device)
        values = self.fabric.all_reduce(mine, reduce_op="sum")
        assert isinstance(values, Tensor)
        return [value > 0 for value in values.tolist()]

    def _batches(self) -> Iterator[Batch]:
        run, world = self.config.run, self.fabric.world_size
        if run.batch % world:
            raise InputError(f"expected run.batch in equal parts on {world}, found {run.batch}")
        return batches(
            self.task,
            batch=run.batch // world,
            seed=run.seed,
            step=self.step,
            rank=self.fabric.global_rank,
            world=world,
            workers=run.workers,
            pin=self.fabric.device.type == "cuda",
        )


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
