# SPDX-License-Identifier: Apache-2.0
"""The training loop, on Lightning Fabric: one device, many through torchrun, or a CPU.

A run goes on exactly where it was: the state is weights, averages, moments, counters and the
step. Everything random is a function of (seed, step, rank), so no generator has to be saved.
"""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from talkcodec.errors import InputError
from training import checkpoint
from training.config import Config, OptimiserConfig
from training.device import open_fabric
from training.ema import Ema
from training.feed import batches
from training.logs import Logs, stamp
from training.task import Batch, Task

#: So many non-finite steps in a row end a run.
PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: after ``step`` steps, because of ``reason``; ``best``: its best score.
    ``first``: whether this process is the first of all.
    """

    step: int
    reason: Literal["done", "signal", "time"]
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
            of other networks, or the losses stay non-finite.
    """
    out = Path(config.run.out)
    found = checkpoint.checkpoints(out)
    if found and not resume:
        raise InputError(f"expected a new folder, found {found[-1].name} in {out}: resume or move")
    fabric = open_fabric(config.run)
    torch.manual_seed(config.run.seed)
    run = _Run(fabric, config, build())
    if found:
        run.load(found[-1])
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    with ExitStack() as stack:
        if fabric.is_global_zero:
            out.mkdir(parents=True, exist_ok=True)
            stamp(out, dataclasses.asdict(config), run.task.data())
            run.logs = stack.enter_context(Logs(out, run.step))
        asked = stack.enter_context(_signals())
        reason = run.fit(asked, deadline)
    return Outcome(run.step, reason, run.best, fabric.is_global_zero)


class _Run:
    """The state of a run and its steps."""

    def __init__(self, fabric: Fabric, config: Config, task: Task) -> None:
        self.fabric, self.config, self.task = fabric, config, task
        self.out = Path(config.run.out)
        self.logs: Logs | None = None
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, Any] = {}
        self._wrapped: dict[str, Any] = {}
        self._trained: dict[str, list[nn.Parameter]] = {}
        for turn, network in task.networks().items():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.networks[turn] = network
            self._trained[turn] = [p for p in network.parameters() if p.requires_grad]
            optimiser = torch.optim.AdamW(_groups(network, config.optimiser))
            wrapped, self.optimisers[turn] = fabric.setup(network, optimiser)
            self._wrapped[turn] = wrapped.train()
        task.attach(self._wrapped)
        self.ema = Ema(self.networks[task.turns[0]], config.optimiser.ema)
        self.step = 0
        self.best: float | None = None
        self.skipped = self._in_a_row = 0
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._seconds = 0.0

    def fit(self, asked: Callable[[], bool], deadline: float) -> Literal["done", "signal", "time"]:
        """Train to the last step, until ``asked``, or until ``deadline`` of the monotonic clock."""
        run = self.config.run
        source = self._batches()
        saved = clock = time.monotonic()
        steps = 0  # since ``clock``, which leaves validation and saving out
        while self.step < run.steps:
            batch = self.fabric.to_device(next(source))
            self._one(batch)
            self.step += 1
            steps += 1
            if self.step % run.log_every == 0:
                seconds = time.monotonic() - clock
                self._seconds += seconds
                self._log(steps * run.batch / seconds)
                clock, steps = time.monotonic(), 0
            signalled, late = self._agree(asked(), time.monotonic() > deadline)
            last = self.step == run.steps or late
            pause = time.monotonic()
            if last or _due(self.step, run.validate_every):
                self.validate(pictures=last or _due(self.step, run.pictures_every))
            old = run.save_minutes and pause - saved > 60 * run.save_minutes
            if last or signalled or old or _due(self.step, run.save_every):
                self.save()
                saved = time.monotonic()
            clock += time.monotonic() - pause
            if signalled or late:
                return "signal" if signalled else "time"
        return "done"

    def _one(self, batch: Batch) -> None:
        """Take one step: every turn, then the average."""
        _seed(self.config.run.seed, self.step, self.fabric.global_rank)
        rate = self.config.optimiser.rate(self.step, self.config.run.steps)
        self._count("lr", rate)
        good = [self._turn(turn, batch, rate) for turn in self.task.turns]
        if all(good):
            self._in_a_row = 0
            self.ema.update(self.networks[self.task.turns[0]])
            return
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row == PATIENCE:
            raise InputError(
                f"expected finite losses, found {PATIENCE} steps without at step {self.step}: "
                "try a lower optimiser.lr, or run.precision of 32-true"
            )

    def _turn(self, turn: str, batch: Batch, rate: float) -> bool:
        """Update the network of ``turn``; leave everything as it was if that is not finite."""
        buffers = [b for network in self.networks.values() for b in network.buffers()]
        before = [buffer.clone() for buffer in buffers]
        with self._only(turn):
            losses = self.task.losses(turn, batch, self.step)
            values = self._means(losses)
            good = math.isfinite(values["loss"])
            if good:
                self.fabric.backward(losses["loss"])
                norm = self._clip(turn)
                good = math.isfinite(norm)
                values["norm"] = norm
        optimiser = self.optimisers[turn]
        if good:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            for name, value in values.items():
                self._count(f"{turn}/{name}", value)
        else:  # normalisation may have taken its statistics from what was not finite
            for buffer, old in zip(buffers, before, strict=True):
                buffer.copy_(old)
        optimiser.zero_grad(set_to_none=True)
        return good

    def _clip(self, turn: str) -> float:
        norm = self.fabric.clip_gradients(
            self._wrapped[turn],
            self.optimisers[turn],
            max_norm=self.config.optimiser.clip or math.inf,
            error_if_nonfinite=False,
        )
        return float(norm) if norm is not None else math.nan

    @contextmanager
    def _only(self, turn: str) -> Iterator[None]:
        """Let the network of ``turn`` alone collect and exchange gradients."""
        with ExitStack() as stack:
            for name, parameters in self._trained.items():
                for parameter in parameters:
                    parameter.requires_grad_(name == turn)
                if name != turn:
                    stack.enter_context(self.fabric.no_backward_sync(self._wrapped[name]))
            yield

    def _means(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Return the losses, averaged over the devices, in one transfer."""
        stacked = torch.stack([loss.detach().float() for loss in losses.values()])
        values = self.fabric.all_reduce(stacked, reduce_op="mean")
        assert isinstance(values, Tensor)
        return dict(zip(losses, values.tolist(), strict=True))

    def _agree(self, *flags: bool) -> list[bool]:
        """Return for each flag whether any process has raised it: all must end together."""
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

    def _count(self, name: str, value: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._counts[name] = self._counts.get(name, 0) + 1

    def _log(self, speed: float) -> None:
        """Write the means since the last time."""
        values = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        values |= {"skipped": self.skipped, "samples_per_second": speed, "seconds": self._seconds}
        if self.logs is not None:
            self.logs.record("train", self.step, values)
            left = (self.config.run.steps - self.step) * self.config.run.batch / speed
            shown = " ".join(f"{k}={v:.4g}" for k, v in values.items() if k.endswith("loss"))
            line = f"step {self.step}/{self.config.run.steps} {shown} {speed:.1f} samples/s"
            sys.stderr.write(f"{line}, {left / 60:.1f} min left\n")

    def validate(self, *, pictures: bool) -> None:
        """Measure the averaged weights on one process; keep them if they are the best."""
        if self.logs is not None:
            _seed(self.config.run.seed, 0, 0)  # the same draws every time
            with torch.no_grad():
                values = self.task.validate(self.ema.network.eval())
                grid = self.task.pictures(self.ema.network) if pictures else None
            self.logs.record("validate", self.step, values)
            if grid is not None:
                self.logs.picture(self.step, grid)
            if math.isfinite(values["score"]) and values["score"] < (self.best or math.inf):
                self.best = values["score"]
                about = {
                    "step": str(self.step),
                    "score": repr(self.best),
                    "network": self.task.turns[0],
                    "arguments": json.dumps(getattr(self.ema.network, "arguments", {})),
                }
                checkpoint.save_best(self.out, self.ema.network, about)
        self.fabric.barrier()

    def save(self) -> None:
        """Write a checkpoint, from one process."""
        if self.fabric.is_global_zero:
            checkpoint.save(
                self.out, self.step, self.networks, self.optimisers, self.ema, self._state()
            )
        self.fabric.barrier()

    def load(self, path: Path) -> None:
        """Go on from the checkpoint ``path``."""
        state = checkpoint.load(path, self.networks, self.optimisers, self.ema)
        self.step, self.best, self.skipped = state["step"], state["best"], state["skipped"]
        self._in_a_row, self._seconds = state["in_a_row"], state["seconds"]
        self._sums, self._counts = state["sums"], state["counts"]

    def _state(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "skipped": self.skipped,
            "in_a_row": self._in_a_row,
            "seconds": self._seconds,
            "sums": self._sums,
            "counts": self._counts,
        }


def _groups(network: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Return AdamW's groups: no decay for biases and normalisation."""
    trained = [p for p in network.parameters() if p.requires_grad]
    common = {"lr": config.lr, "betas": config.betas}
    return [
        {**common, "params": kept, "weight_decay": decay}
        for kept, decay in (
            ([p for p in trained if p.ndim > 1], config.weight_decay),
            ([p for p in trained if p.ndim <= 1], 0.0),
        )
        if kept
    ]


def _seed(*numbers: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether SIGINT or SIGTERM has come; neither interrupts a step."""
    event = threading.Event()

    def note(_: int, __: FrameType | None) -> None:
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event.is_set
        return
    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
