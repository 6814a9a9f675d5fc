# SPDX-License-Identifier: Apache-2.0
"""Checkpoints without pickle: safetensors for tensors, JSON for the rest.

::

    RUN/checkpoints/step-00001000/weights.safetensors     NETWORK/PARAMETER
                                  ema.safetensors         PARAMETER of the first network
                                  optimiser.safetensors   NETWORK/PARAMETER/exp_avg, …
                                  state.json              step, counters, means, best score
    RUN/best.safetensors          averaged weights of the best score so far

A checkpoint is written beside its place and renamed: one that can be seen is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from talkcodec.errors import InputError
from training.ema import Ema

KEPT = 2
BEST = "best.safetensors"


def save(
    run: Path,
    step: int,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    ema: Ema,
    state: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of ``step`` and remove all but the newest ``KEPT``."""
    folder = run / "checkpoints"
    final = folder / f"step-{step:08d}"
    partial = folder / f".{final.name}.{os.getpid()}"
    partial.mkdir(parents=True, exist_ok=True)
    weights = {f"{n}/{k}": v for n, net in networks.items() for k, v in net.state_dict().items()}
    save_file(_plain(weights), partial / "weights.safetensors")
    save_file(_plain(ema.network.state_dict()), partial / "ema.safetensors")
    save_file(_plain(_moments(networks, optimisers)), partial / "optimiser.safetensors")
    text = json.dumps({"step": step, "ema_updates": ema.updates, **state}, indent=1)
    (partial / "state.json").write_text(text, encoding="utf-8")
    for path in partial.iterdir():
        _to_disk(path)
    if final.exists():  # of an earlier attempt at the same step
        shutil.rmtree(final)
    partial.rename(final)
    _to_disk(folder)
    for old in checkpoints(run)[:-KEPT]:
        shutil.rmtree(old)
    return final


def save_best(run: Path, network: nn.Module, metadata: Mapping[str, str]) -> None:
    """Replace ``RUN/best.safetensors`` by the weights of ``network``."""
    partial = run / f".{BEST}.{os.getpid()}"
    save_file(_plain(network.state_dict()), partial, dict(metadata))
    _to_disk(partial)
    partial.replace(run / BEST)


def begin_from(path: Path, network: nn.Module) -> None:
    """Load ``network`` with the weights in ``path``; others there are left alone.

    Raises:
        InputError: it is no such file, or a parameter is missing or of another shape.
    """
    try:
        found = load_file(path)
        wanted = network.state_dict()
        network.load_state_dict({name: found[name] for name in wanted})
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        told = str(error).splitlines()[0]
        raise InputError(f"expected weights to begin from in {path}, found {told}") from None


def begin_from_parts(folder: Path, network: nn.Module) -> None:
    """Load the parts of ``network`` with what ships of each in ``folder``: folded weights.

    Raises:
        InputError: one is missing there, or of another size.
    """
    parts: Mapping[str, nn.Module] = network.parts()  # type: ignore[operator]
    for name, part in parts.items():
        begin_from(folder / f"{name}.safetensors", part)


def checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints in ``run``, oldest first."""
    return sorted((run / "checkpoints").glob("step-*"))


def load(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, Optimizer],
    ema: Ema,
) -> dict[str, Any]:
    """Restore everything from the checkpoint ``path`` in place; return its state.

    Raises:
        InputError: the files are damaged or belong to other networks.
    """
    try:
        state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
        weights = load_file(path / "weights.safetensors")
        moments = load_file(path / "optimiser.safetensors")
        for name, network in networks.items():
            network.load_state_dict(_under(name, weights))
        ema.network.load_state_dict(load_file(path / "ema.safetensors"))
        ema.updates = int(state["ema_updates"])
        for name, optimiser in optimisers.items():
            _restore(optimiser, networks[name], _under(name, moments))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        found = " ".join(str(error).split())[:200]
        raise InputError(f"expected a checkpoint of these networks in {path}: {found}") from None
    return state


def _moments(
    networks: Mapping[str, nn.Module], optimisers: Mapping[str, Optimizer]
) -> dict[str, Tensor]:
    """Return every tensor of the optimisers' states, named after its parameter."""
    found = {}
    for name, network in networks.items():
        states = optimisers[name].state
        for key, parameter in network.named_parameters():
            for part, value in states.get(parameter, {}).items():
                found[f"{name}/{key}/{part}"] = value
    return found


def _restore(optimiser: Optimizer, network: nn.Module, moments: Mapping[str, Tensor]) -> None:
    parameters = dict(network.named_parameters())
    optimiser.state.clear()
    for key, value in moments.items():
        name, _, part = key.rpartition("/")
        parameter = parameters[name]
        if value.shape == parameter.shape and value.ndim:
            value = torch.empty_like(parameter).copy_(value)  # noqa: PLW2901  keeps the strides
        optimiser.state[parameter][part] = value.detach()


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies in C order on the CPU: safetensors takes neither shared nor strided memory."""
    return {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }


def _to_disk(path: Path) -> None:
    """Wait until ``path`` survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
