# SPDX-License-Identifier: Apache-2.0
"""What the loop needs to know of what it trains: ``Task``, and the tasks by name.

A task is a class with a frozen dataclass ``Options`` (the fields of ``[task]`` in the
configuration), built as ``TaskClass(TaskClass.Options(...))`` after torch has been seeded.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from talkcodec.errors import InputError
from talkcodec.types import U8
from training.config import parse

Batch = dict[str, Tensor]

#: Where each task is defined: imported when it is trained.
TASKS = {
    "tracker": "training.tasks.tracker:TrackerTask",
    "details": "training.tasks.details:DetailsTask",
    "detector": "training.tasks.detector:DetectorTask",
    "restorer": "training.tasks.restorer:RestorerTask",
    "matte": "training.tasks.matte:MatteTask",
    "generator": "training.tasks.generator:GeneratorTask",
    "mouth": "training.tasks.closeup:MouthTask",
    "eyes": "training.tasks.closeup:EyesTask",
}


class Task(Protocol):
    """A training problem: networks, batches, losses, validation.

    ``turns``: optimiser turns of a step, in order: ``("tracker",)`` or
    ``("generator", "discriminator")``. Each names a network of its own with an AdamW of its own;
    the weights of the first are averaged (EMA), validated and exported. In a turn only that
    turn's network collects gradients.
    """

    @property
    def turns(self) -> tuple[str, ...]: ...

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks by turn, new ones, in float32 on the CPU. Called once.

        The first has an attribute ``arguments``: its constructor's, as JSON holds them, so that
        it can be built again for export (training/export.py) without the data.
        """

    def data(self) -> dict[str, Any]:
        """Tell what is trained on, for run.json: clips, people, minutes, licences."""

    def attach(self, networks: Mapping[str, nn.Module]) -> None:
        """Take the networks as the loop wrapped them: ``losses`` must call these, and only by
        ``network(...)``, for there are autocast and gradient exchange.
        """

    def loader(self, *, batch: int, seed: int, step: int, rank: int, world: int) -> Iterator[Batch]:
        """Return endless batches of ``batch`` samples, the first one for ``step``.

        The batch of a step depends on nothing but (``seed``, step, ``rank``), so that a run goes
        on anywhere; ``world`` ranks draw different samples. Tensors on the CPU. Opening a loader
        must be cheap: with workers it is opened anew for every step.
        """

    def losses(self, turn: str, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return scalars: ``"loss"`` is minimised in this turn, the others are logged.

        ``batch`` is on the device. torch's generator has been seeded for this step and rank;
        any other randomness must come from ``step``.
        """

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Measure ``network`` (averaged weights, eval mode, no gradients, float32).

        ``"score"`` decides which weights are kept as the best: lower is better.
        """

    def pictures(self, network: nn.Module) -> U8 | None:
        """Return an image grid of what ``network`` does, uint8 (H, W, 3), or None."""


def build_task(fields: Mapping[str, Any]) -> Task:
    """Build the task that ``[task]`` of a configuration describes.

    Raises:
        InputError: no task of that name, or a field that its options do not have.
    """
    options = dict(fields)
    name = options.pop("name", None)
    if name not in TASKS:
        raise InputError(f"expected task.name of {', '.join(TASKS)}, found {name!r}")
    module, _, attribute = TASKS[name].partition(":")
    task_class = getattr(importlib.import_module(module), attribute)
    task: Task = task_class(parse(task_class.Options, options, "task"))
    return task
