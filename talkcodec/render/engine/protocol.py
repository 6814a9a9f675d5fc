# SPDX-License-Identifier: Apache-2.0
"""One protocol for all engines, and the choice among them.

An engine belongs to one thread at a time: open one a thread that needs one. They keep to one
core each unless told otherwise, because more collapse as soon as another process is busy, do not
pin themselves to any, and write no files. The same machine gives the same numbers for the same
input every time; another machine, engine or precision gives slightly different ones, so nothing
that comes out of here may be needed bit by bit elsewhere.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping
from typing import Literal, Protocol, get_args

from talkcodec.errors import InputError, MissingDependency
from talkcodec.render.engine.signature import Array, Arrays, Shape, Signature

EngineName = Literal["auto", "openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "f32", "bf16"]

#: The file that each engine runs: its suffix among the weights of the package.
FORMATS = {"openvino": ".onnx", "onnxruntime": ".onnx", "torch": ".safetensors"}

_PACKAGES = {
    "openvino": "openvino, or pip install 'talkcodec[openvino]'",
    "onnxruntime": "onnxruntime",
    "torch": "torch==2.13.0, or pip install 'talkcodec[torch]'",
}


class Engine(Protocol):
    """A network, loaded and warm, for one thread at a time.

    ``name`` and ``precision`` tell what runs it: ``"f32"``, or ``"bf16"`` where convolutions are
    done with 8 bits of mantissa. ``signature``: names, shapes and types of inputs and outputs.
    """

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def signature(self) -> Signature: ...

    @property
    def inputs(self) -> Mapping[str, Shape]:
        """Shapes by name, as in ``signature``."""

    @property
    def outputs(self) -> Mapping[str, Shape]:
        """Shapes by name, as in ``signature``."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Return all outputs, which stay as they are until the next run. Inputs are not kept.

        Raises:
            ValueError: an input is missing, unknown, or of another shape or type.
        """

    def close(self) -> None:
        """Release the network. Closing twice does nothing; running after it is an error."""


def open_engine(
    model: bytes,
    *,
    name: EngineName = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> Engine:
    """Load ``model`` and run it once, so that the first picture takes no longer than others.

    ``model``: an ONNX file, or for torch a safetensors file written by ``pack_network``.
    ``name``: ``"auto"`` is OpenVINO on x86 where it is installed, else ONNX Runtime.
    ``precision``: ``"auto"`` is bf16 in OpenVINO on processors that have it, else f32. Coordinates
    want f32: bf16 is good for pixels.

    Raises:
        MissingDependency: the engine is not installed.
        InputError: an unknown name or precision, or one that this machine does not have.
        WeightsError: ``model`` is not what the engine reads.
    """
    if threads < 1:
        raise InputError(f"expected 1 thread or more, found {threads}")
    if precision not in get_args(Precision):
        raise InputError(f"expected a precision of auto, f32 or bf16, found {precision}")
    chosen = choose(name)
    if precision != "auto" and precision not in precisions(chosen):
        raise InputError(f"expected f32 in {chosen} on this processor, found {precision}")
    if chosen == "openvino":
        from talkcodec.render.engine.openvino import OpenVinoEngine

        return OpenVinoEngine(model, threads, precision)
    if chosen == "onnxruntime":
        from talkcodec.render.engine.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model, threads)
    from talkcodec.render.engine.torch import TorchEngine

    return TorchEngine(model, threads, precision)


def choose(name: EngineName = "auto") -> str:
    """Return the engine that ``name`` stands for on this machine.

    Raises:
        MissingDependency: it is not installed.
        InputError: there is no such engine.
    """
    if name not in get_args(EngineName):
        raise InputError(f"expected an engine of {', '.join(get_args(EngineName))}, found {name}")
    if name != "auto":
        if not _is_there(name):
            raise MissingDependency(f"expected the package {_PACKAGES[name]}, found none")
        return name
    x86 = platform.machine().lower() in {"x86_64", "amd64", "i686", "x86"}
    for candidate in ("openvino", "onnxruntime") if x86 else ("onnxruntime", "openvino"):
        if _is_there(candidate):
            return candidate
    raise MissingDependency("expected the package onnxruntime or openvino, found neither")


def installed() -> dict[str, str]:
    """Return the versions of the engines that are installed, without importing any."""
    return {name: importlib.metadata.version(name) for name in FORMATS if _is_there(name)}


def precisions(name: str) -> tuple[str, ...]:
    """Return the precisions that the installed engine ``name`` has on this machine, best first."""
    if name == "openvino":
        from talkcodec.render.engine.openvino import has_bf16
    elif name == "torch":
        from talkcodec.render.engine.torch import has_bf16
    else:
        return ("f32",)  # ONNX Runtime has no bf16 convolutions on processors
    return ("f32", "bf16") if has_bf16() else ("f32",)


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
