# SPDX-License-Identifier: Apache-2.0
"""Which device a run uses, how many, and in what precision."""

from __future__ import annotations

import logging
import os
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from talkcodec.errors import InputError
from training.config import RunConfig

Precision = Literal["bf16-mixed", "32-true"]


def open_fabric(config: RunConfig) -> Fabric:
    """Return a launched Fabric: every process that torchrun started, else this one alone.

    Raises:
        InputError: CUDA is asked for and absent.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells what we chose
    torch.set_num_threads(config.threads)
    cuda = torch.cuda.is_available()
    if config.device == "cuda" and not cuda:
        raise InputError("expected a CUDA device for run.device, found none")
    accelerator = "cuda" if cuda and config.device != "cpu" else "cpu"
    precision = best_precision(accelerator) if config.precision == "auto" else config.precision
    if not TorchElasticEnvironment.detect():
        fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)
    else:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        fabric = Fabric(
            accelerator=accelerator,
            devices=local,
            num_nodes=int(os.environ["WORLD_SIZE"]) // local,
            # One strategy for any number of processes, two nodes of one included.
            strategy=DDPStrategy(),
            precision=precision,
        )
    fabric.launch()
    return fabric


def best_precision(accelerator: str) -> Precision:
    """Return "bf16-mixed" where ``accelerator`` computes in bf16 by itself, else "32-true"."""
    if accelerator == "cuda":
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    able = torch.cpu.get_capabilities()
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"
