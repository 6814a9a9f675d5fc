# SPDX-License-Identifier: Apache-2.0
"""One training step: every turn's forward, backward and update, and the averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from training.config import Config, OptimiserConfig
from training.ema import Ema
from training.task import Batch, Task


class Turns:
    """The networks of a task, their optimisers, and the average of the first network.

    ``networks`` are the plain modules, in channels-last order on the device; the task works with
    them as Fabric wrapped them.
    """

    def __init__(self, fabric: Fabric, config: Config, task: Task) -> None:
        self._fabric, self._config, self._task = fabric, config, task
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

    def take(self, batch: Batch, step: int) -> tuple[dict[str, float], bool]:
        """Take step ``step``; return what to log, and whether every turn was finite.

        A turn whose loss or gradient is not finite, on any device, changes nothing.
        """
        seed(self._config.run.seed, step, self._fabric.global_rank)
        rate = self._config.optimiser.rate(step, self._config.run.steps)
        logged, good = {"lr": rate}, True
        for turn in self._task.turns:
            values = self._turn(turn, batch, step, rate)
            good = good and values is not None
            logged |= {f"{turn}/{name}": value for name, value in (values or {}).items()}
        if good:
            self.ema.update(self.networks[self._task.turns[0]])
        return logged, good

    def _turn(self, turn: str, batch: Batch, step: int, rate: float) -> dict[str, float] | None:
        """Update the network of ``turn``; None and nothing changed if that is not finite."""
        buffers = [b for network in self.networks.values() for b in network.buffers()]
        before = [buffer.clone() for buffer in buffers]
        optimiser = self.optimisers[turn]
        with self._only(turn):
            losses = self._task.losses(turn, batch, step)
            values = self._means(losses)
            if math.isfinite(values["loss"]):
                self._fabric.backward(losses["loss"])
                values["norm"] = self._clip(turn)
        good = math.isfinite(values.get("norm", math.nan))
        if good:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        else:  # normalisation may have taken its statistics from what was not finite
            for buffer, old in zip(buffers, before, strict=True):
                buffer.copy_(old)
        optimiser.zero_grad(set_to_none=True)
        return values if good else None

    def _clip(self, turn: str) -> float:
        """Limit the gradient's norm; return what it was."""
        norm = self._fabric.clip_gradients(
            self._wrapped[turn],
            self.optimisers[turn],
            max_norm=self._config.optimiser.clip or math.inf,
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
                    stack.enter_context(self._fabric.no_backward_sync(self._wrapped[name]))
            yield

    def _means(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Return the losses, averaged over the devices, in one transfer."""
        stacked = torch.stack([loss.detach().float() for loss in losses.values()])
        values = self._fabric.all_reduce(stacked, reduce_op="mean")
        assert isinstance(values, Tensor)
        return dict(zip(losses, values.tolist(), strict=True))


def seed(*numbers: int) -> None:
    """Seed torch from ``numbers``: what is random in a step depends on nothing else."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


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
