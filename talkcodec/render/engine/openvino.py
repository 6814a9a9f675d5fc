# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: the fastest and steadiest on x86.

``import openvino`` alone makes the package ``openvino_telemetry``, which pip installs beside it,
report to Google Analytics from a child process, unless the user has opted out (version 2026.4:
``openvino/tools/ovc/__init__.py``; nobody is asked). Nothing else in OpenVINO calls it, and
without that package OpenVINO uses a stub of its own. So here the package is out of reach before
OpenVINO is imported, for the life of the process. A program that imported OpenVINO before this
module has decided for itself.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, cast

import numpy as np

from talkcodec.errors import WeightsError
from talkcodec.render.engine.signature import Array, Arrays, Shape, Signature

_DEVICE = "CPU"
#: What computes each element apart, whatever its place.
_EACH = frozenset({"Add", "Convert", "Divide", "Multiply", "Subtract"})


class OpenVinoEngine:
    """An ``Engine`` over OpenVINO. ``precision``: ``"auto"`` is bf16 where the device lists it."""

    name = "openvino"

    def __init__(self, model: bytes, threads: int, precision: str) -> None:
        bf16 = precision == "bf16" or (precision == "auto" and has_bf16())
        self.precision = "bf16" if bf16 else "f32"
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # else every engine of the machine sits on core 0
            "INFERENCE_PRECISION_HINT": self.precision,
            "CACHE_DIR": "",
        }
        try:
            network = _core().read_model(model=model)
            self.signature = Signature.make(map(_port, network.inputs), map(_port, network.outputs))
            network = _channels_last(network, self.signature)
            self._compiled = _core().compile_model(network, _DEVICE, options)
        except RuntimeError as error:
            raise WeightsError(f"expected an ONNX model, found: {_last_line(error)}") from None
        self._request: Any = self._compiled.create_infer_request()
        count = len(self.signature.inputs), len(self.signature.outputs)
        self._in = [_view(self._request.get_input_tensor(i).data) for i in range(count[0])]
        self._out = [_view(self._request.get_output_tensor(i).data) for i in range(count[1])]
        self.run(self.signature.zeros())

    @property
    def inputs(self) -> dict[str, Shape]:
        return self.signature.inputs

    @property
    def outputs(self) -> dict[str, Shape]:
        return self.signature.outputs

    def run(self, inputs: Arrays) -> dict[str, Array]:
        if self._request is None:
            raise ValueError("expected an open engine, found a closed one")
        self.signature.check(inputs)
        # Its own memory, filled here: whatever the caller's array is like, the layout is the same.
        for memory, name in zip(self._in, self.signature.inputs, strict=True):
            memory[...] = inputs[name]
        self._request.infer(share_outputs=True)
        return dict(zip(self.signature.outputs, self._out, strict=True))

    def close(self) -> None:
        self._in, self._out = [], []
        self._request = self._compiled = None


def _is_picture(shape: Shape) -> bool:
    return len(shape) == 4


def _channels_last(network: Any, signature: Signature) -> Any:
    """Return ``network`` with the channels of pictures, inputs and outputs, last in memory.

    So convolutions want and leave them on processors, and so OpenCV does: nobody has to turn them.
    """
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(network)
    ends = [(steps.input, signature.inputs), (steps.output, signature.outputs)]
    for end, shapes in ends:
        for name in (name for name, shape in shapes.items() if _is_picture(shape)):
            end(name).model().set_layout("NCHW")
            end(name).tensor().set_layout("NHWC")
    network = steps.build()
    for node in network.get_ordered_ops():
        if node.get_type_name() == "Transpose":
            _sink(node)
    network.validate_nodes_and_infer_types()
    return network


def _sink(turn: Any) -> None:
    """Move a transposition behind the arithmetic with single numbers that follows it.

    There it meets a convolution and costs nothing; before it, OpenVINO turns bytes, computes, and
    turns the result back.
    """
    while True:
        users = list(turn.output(0).get_target_inputs())
        user, node = users[0], users[0].get_node()
        if len(users) > 1 or node.get_type_name() not in _EACH:
            return
        given = (port for port in node.inputs() if port.get_index() != user.get_index())
        if not all(_is_number(port.get_source_output()) for port in given):
            return
        after = list(node.output(0).get_target_inputs())
        user.replace_source_output(turn.input_value(0))
        turn.input(0).replace_source_output(node.output(0))
        for port in after:
            port.replace_source_output(turn.output(0))


def _is_number(output: Any) -> bool:
    """Whether ``output`` is a constant of one element."""
    constant = output.get_node().get_type_name() == "Constant"
    return constant and all(side == 1 for side in output.get_shape())


def _view(memory: Array) -> Array:
    """Return an engine's memory in the order of axes that callers know."""
    return memory.transpose(0, 3, 1, 2) if _is_picture(memory.shape) else memory


def has_bf16() -> bool:
    """Whether this processor computes in bf16 itself; elsewhere bf16 would be slower than f32."""
    return "BF16" in _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


@cache
def _core() -> Any:
    """Return the process's OpenVINO, which may be used from any thread."""
    if "openvino" not in sys.modules:
        # None makes ``import openvino_telemetry`` an ImportError.
        sys.modules["openvino_telemetry"] = cast("Any", None)
    import openvino

    return openvino.Core()


def _port(port: Any) -> tuple[str, list[int | None], np.dtype[Any]]:
    shape = [side.get_length() if side.is_static else None for side in port.get_partial_shape()]
    return port.get_any_name(), shape, port.get_element_type().to_dtype()


def _last_line(error: RuntimeError) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"
