# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: everywhere, small, and always installed.

From version 1.29 on it reports to Microsoft on Linux and macOS too, from threads of its own, of
sessions opened and time spent, and keeps an identifier and a data base below ``~/.cache``. Its
documented opt-out is ``ORT_DISABLE_TELEMETRY=1`` in the environment *before* it is loaded (its
``Privacy.md``; calling ``disable_telemetry_events`` alone still reports the start). That is set
here, for the life of the process and its children. A program that imported onnxruntime before
this module has decided for itself; its later events are still switched off.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from talkcodec.errors import WeightsError
from talkcodec.render.engine.signature import Array, Arrays, Shape, Signature

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxRuntimeEngine:
    """An ``Engine`` over ONNX Runtime. Convolutions are f32 always."""

    name = "onnxruntime"
    precision = "f32"

    def __init__(self, model: bytes, threads: int) -> None:
        ort = _runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors
        # Threads that wait by spinning take the cores from those who work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            self._session: Any = ort.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  its errors have no common base
            line = " ".join(str(error).split())
            raise WeightsError(f"expected an ONNX model, found: {line}") from None
        session = self._session
        self.signature = Signature.make(
            map(_port, session.get_inputs()), map(_port, session.get_outputs())
        )
        self.run(self.signature.zeros())

    @property
    def inputs(self) -> dict[str, Shape]:
        return self.signature.inputs

    @property
    def outputs(self) -> dict[str, Shape]:
        return self.signature.outputs

    def run(self, inputs: Arrays) -> dict[str, Array]:
        if self._session is None:
            raise ValueError("expected an open engine, found a closed one")
        self.signature.check(inputs)
        found = self._session.run(None, dict(inputs))
        return dict(zip(self.signature.outputs, found, strict=True))

    def close(self) -> None:
        self._session = None


@cache
def _runtime() -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # on Windows, and where it was loaded before
    return onnxruntime


def _port(port: Any) -> tuple[str, list[object], str]:
    if port.type not in _TYPES:
        raise WeightsError(f"{port.name}: expected one of {sorted(_TYPES)}, found {port.type}")
    return port.name, list(port.shape), _TYPES[port.type]
