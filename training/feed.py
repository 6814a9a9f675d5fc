# SPDX-License-Identifier: Apache-2.0
"""Batches for the loop: in its own process, or prepared ahead by workers, in the same order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from training.task import Batch, Task


class _Steps(Dataset["Batch"]):
    """A task's batches by step."""

    def __init__(self, task: Task, batch: int, seed: int, rank: int, world: int) -> None:
        self._task = task
        self._how = {"batch": batch, "seed": seed, "rank": rank, "world": world}

    def __getitem__(self, step: int) -> Batch:
        return next(iter(self._task.loader(step=step, **self._how)))


def batches(
    task: Task,
    *,
    batch: int,
    seed: int,
    step: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """Yield the batches from ``step`` on, on the CPU; they do not depend on ``workers``."""
    if not workers:
        return iter(task.loader(batch=batch, seed=seed, step=step, rank=rank, world=world))
    import cv2

    # Before workers are forked: one that inherits OpenCV's pool, but none of its threads, hangs.
    cv2.setNumThreads(1)
    return iter(
        DataLoader(
            _Steps(task, batch, seed, rank, world),
            sampler=itertools.count(step),  # endless and in order
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # else it draws from the run's own
        )
    )


def _start_worker(_: int) -> None:
    import signal

    # A terminal interrupts all: the loop decides when to stop, and needs batches until then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
