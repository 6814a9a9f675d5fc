# SPDX-License-Identifier: Apache-2.0
"""torch: the modules themselves, with the weights they were trained to.

It does not read ONNX: what it is for is to run what training made, without an exporter between,
and to be what the others are compared with. A file says which network it is by a name of
``NETWORKS``, never by an import path.
"""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from talkcodec.errors import WeightsError
from talkcodec.render.engine.signature import Array, Arrays, Shape, Signature

if TYPE_CHECKING:
    import torch

#: Networks that files may name, and the class of each. Its constructor's arguments are in the file.
NETWORKS = {
    "tracker": "talkcodec.models.tracker:TrackerNet",
    "details": "talkcodec.models.details:DetailsNet",
    "detector": "talkcodec.models.detector:DetectorNet",
    "restorer": "talkcodec.models.restorer:RestorerNet",
    "matte": "talkcodec.models.matte:MatteNet",
    "dense_motion": "talkcodec.models.generator:MotionNet",
    "painter": "talkcodec.models.generator:PainterNet",
    "mouth": "talkcodec.models.closeup:MouthNet",
    "eyes": "talkcodec.models.closeup:EyesNet",
    "generator": "talkcodec.models.generator:GeneratorNet",
}
_KEY = "talkcodec"  # of the JSON in the metadata
_LIMIT = 1 << 20  # of the header, bytes


class TorchEngine:
    """An ``Engine`` over torch on the processor. ``precision``: ``"auto"`` is f32."""

    name = "torch"

    def __init__(self, model: bytes, threads: int, precision: str) -> None:
        import torch

        about = _about(model)
        self.precision = "bf16" if precision == "bf16" else "f32"
        self.signature = Signature.make(about["inputs"], about["outputs"])
        self._threads = threads
        self._torch = torch
        self._network: torch.nn.Module | None = load_network(model)
        self.run(self.signature.zeros())

    @property
    def inputs(self) -> dict[str, Shape]:
        return self.signature.inputs

    @property
    def outputs(self) -> dict[str, Shape]:
        return self.signature.outputs

    def run(self, inputs: Arrays) -> dict[str, Array]:
        if self._network is None:
            raise ValueError("expected an open engine, found a closed one")
        self.signature.check(inputs)
        torch, bf16 = self._torch, self.precision == "bf16"
        with (
            torch.inference_mode(),
            self._cores(),
            torch.autocast("cpu", torch.bfloat16, enabled=bf16),
        ):
            given = [torch.tensor(inputs[name]) for name in self.signature.inputs]
            found = self._network(*given)
        found = (found,) if isinstance(found, torch.Tensor) else tuple(found)
        types = self.signature.types
        return {
            name: (value.float() if value.is_floating_point() else value)
            .numpy()
            .astype(types[name], copy=False)
            for name, value in zip(self.signature.outputs, found, strict=True)
        }

    @contextmanager
    def _cores(self) -> Iterator[None]:
        """Use this engine's number of threads, and give back what was set: it is the process's."""
        before = self._torch.get_num_threads()
        if before == self._threads:
            yield
            return
        self._torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def close(self) -> None:
        self._network = None


def load_network(model: bytes) -> torch.nn.Module:
    """Return the network of a file of ``pack_network``, in eval mode.

    Raises:
        WeightsError: ``model`` is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    about = _about(model)
    network = build_network(about["network"], about["arguments"])
    try:
        network.load_state_dict(load(model))
    except (RuntimeError, SafetensorError) as error:
        line = " ".join(str(error).split())
        raise WeightsError(f"{about['network']}: expected its weights, found: {line}") from None
    return network.eval()


def pack_network(
    name: str,
    network: torch.nn.Module,
    *,
    arguments: Mapping[str, Any],
    inputs: Mapping[str, tuple[str, Sequence[int]]],
    outputs: Mapping[str, tuple[str, Sequence[int]]],
) -> bytes:
    """Return the safetensors file of ``network``, which must be ``NETWORKS[name](**arguments)``.

    ``arguments``: what JSON can hold. ``inputs``, ``outputs``: type and shape by name, in the order
    of ``forward``. Weights are stored in the types they have: float16 halves the file.
    """
    from safetensors.torch import save

    about = {
        "network": name,
        "arguments": dict(arguments),
        "inputs": [[key, list(shape), type_] for key, (type_, shape) in inputs.items()],
        "outputs": [[key, list(shape), type_] for key, (type_, shape) in outputs.items()],
    }
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    return save(tensors, {_KEY: json.dumps(about)})


def has_bf16() -> bool:
    """Whether this processor computes in bf16 itself."""
    import torch

    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _about(model: bytes) -> dict[str, Any]:
    """Return what ``pack_network`` wrote beside the weights."""
    size = struct.unpack_from("<Q", model)[0] if len(model) >= 8 else 0
    if not 2 <= size <= min(_LIMIT, len(model) - 8) or model[8:9] != b"{":
        raise WeightsError("expected a safetensors file for torch, found something else")
    try:
        header = json.loads(model[8 : 8 + size])
        about: dict[str, Any] = json.loads(header["__metadata__"][_KEY])
        missing = {"network", "arguments", "inputs", "outputs"} - about.keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        missing = {_KEY}
    if missing:
        raise WeightsError(f"expected a file of pack_network, found no {min(missing)} in it")
    return about


def build_network(name: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """Return the network ``name`` of ``NETWORKS``, new.

    Raises:
        WeightsError: there is none of that name, or it takes other arguments.
    """
    if name not in NETWORKS:
        raise WeightsError(f"expected a network of {sorted(NETWORKS)}, found {name}")
    module, _, attribute = NETWORKS[name].partition(":")
    try:
        network: torch.nn.Module = getattr(importlib.import_module(module), attribute)(**arguments)
    except TypeError as error:
        raise WeightsError(f"{name}: expected its arguments, found: {error}") from None
    return network
