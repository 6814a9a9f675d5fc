# SPDX-License-Identifier: Apache-2.0
"""From a network to an ONNX file that is small and computed in 32 bits.

torch's exporter of before 2.9 writes the leaner graphs, and the newer one cannot take a network
with a part called ``code``. What it leaves of constant arithmetic is folded by onnxscript. Then
matrices and kernels are stored as float16, each behind a Cast to float32 that the runtimes fold
when they load: they compute what torch computes with the rounded weights.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from onnx import ModelProto

#: The version of the operators: old enough for every runtime that we know.
OPSET = 17


def to_onnx(network: nn.Module) -> bytes:
    """Return ``network``, in eval mode and on the CPU, as the bytes of an ONNX file.

    It has ``export_inputs`` and ``export_outputs``; its matrices are float16 numbers already.
    """
    import onnx
    from onnxscript import optimizer

    inputs: dict[str, torch.Tensor] = network.export_inputs()  # type: ignore[operator]
    outputs: tuple[str, ...] = network.export_outputs()  # type: ignore[operator]
    file: Any = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # that it is the older exporter, and what it cannot fold
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
        )
        model = onnx.load_from_string(file.getvalue())
        optimizer.fold_constants(model, should_fold=_is_small)
        model = optimizer.optimize(model)
    halve(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _is_small(node: Any) -> bool | None:
    """Fold the constant that a padding makes: onnxscript leaves them, for they may be large."""
    return True if node.op_type == "ConstantOfShape" else None


def halve(model: ModelProto) -> None:
    """Store the matrices and kernels of ``model`` as float16, with a Cast behind each.

    Raises:
        ValueError: a number is none that float16 holds.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for stored in model.graph.initializer:
        if stored.data_type != TensorProto.FLOAT or len(stored.dims) < 2:
            continue
        name, values = stored.name, numpy_helper.to_array(stored)
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            raise ValueError(f"{name}: expected numbers that float16 holds, found others")
        small = f"{name}.float16"
        stored.CopyFrom(numpy_helper.from_array(half, small))
        casts.append(
            helper.make_node("Cast", [small], [name], f"{name}.cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
