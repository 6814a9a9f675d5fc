# SPDX-License-Identifier: Apache-2.0
"""Run by torchrun in test_many_processes.py: trains and leaves what each process ended with."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from tests.training.toy import ToyOptions, ToyTask
from training.config import Config, OptimiserConfig, RunConfig
from training.loop import Outcome, train

RANK = int(os.environ["RANK"])

#: Seconds; then each process tells where it is, and ends.
PATIENCE = 100


class Recorded(ToyTask):
    """Two opposed networks; remembers its batches; one process alone meets a bad batch."""

    turns = ("one", "two")

    def __init__(self) -> None:
        super().__init__(ToyOptions(poison=(3,) if RANK == 1 else ()))
        self.sums: list[float] = []
        self.sizes: set[int] = set()

    def losses(self, turn: str, batch: Any, step: int) -> dict[str, Tensor]:
        del step
        self.sums.append(float(batch["colour"].sum()))
        self.sizes.add(len(batch["picture"]))
        one, two = (self.attached[name](batch["picture"]) for name in self.turns)
        wrong = (one - batch["colour"]).square().mean()
        apart = (one - two).square().mean()
        return {"loss": wrong - 0.1 * apart if turn == "one" else apart}


def once(out: Path, steps: int) -> tuple[Recorded, Outcome]:
    """Train up to ``steps`` from where the run in ``out`` is."""
    task = Recorded()
    run = RunConfig(out=str(out), steps=steps, batch=8, device="cpu", precision="32-true")
    config = Config(run, {}, OptimiserConfig(warmup=2))
    return task, train(config, lambda: task, resume=steps > 6)


def main(out: Path) -> None:
    """Train six steps, then six more from the checkpoint; write the state of this process."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    once(out / "run", 6)
    task, outcome = once(out / "run", 12)
    weights = {
        f"{turn}.{name}": value.tolist()
        for turn, network in task.attached.items()
        for name, value in network.named_parameters()
    }
    found = {
        "weights": weights,
        "sums": task.sums,
        "sizes": sorted(task.sizes),
        "step": outcome.step,
        "first": outcome.first,
    }
    (out / f"rank-{RANK}.json").write_text(json.dumps(found))
    # Not by way of freeing the process group: that holds the interpreter's lock while it joins
    # gloo's threads, and one of them may still be waiting for the lock.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
