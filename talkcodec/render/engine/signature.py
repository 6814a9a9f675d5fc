# SPDX-License-Identifier: Apache-2.0
"""What a network takes and gives: names, shapes, types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from talkcodec.errors import WeightsError

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Shape = tuple[int, ...]
#: Name, shape and type of an input or output; a size that is no number is not fixed.
Port = tuple[str, Iterable[object], Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """Shapes of inputs and outputs by name, in the order of the file, and the type of each."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    types: dict[str, np.dtype[Any]]

    @classmethod
    def make(cls, inputs: Iterable[Port], outputs: Iterable[Port]) -> Signature:
        """Check and keep what a runtime tells of a network.

        Raises:
            WeightsError: a shape is not fixed.
        """
        types: dict[str, np.dtype[Any]] = {}

        def shapes(ports: Iterable[Port]) -> dict[str, Shape]:
            found = {}
            for name, shape, type_ in ports:
                found[name] = _fixed(name, shape)
                types[name] = np.dtype(type_)
            return found

        return cls(shapes(inputs), shapes(outputs), types)

    def check(self, arrays: Arrays) -> None:
        """Compare what is about to be run with what the network takes.

        Raises:
            ValueError: an input is missing, unknown, or of another shape or type.
        """
        if arrays.keys() != self.inputs.keys():
            raise ValueError(f"expected the inputs {sorted(self.inputs)}, found {sorted(arrays)}")
        for name, array in arrays.items():
            shape, type_ = self.inputs[name], self.types[name]
            if array.shape != shape or array.dtype != type_:
                raise ValueError(
                    f"{name}: expected {type_} {shape}, found {array.dtype} {array.shape}"
                )

    def zeros(self) -> dict[str, Array]:
        """Return inputs of zeros: what networks are warmed up with."""
        return {name: np.zeros(shape, self.types[name]) for name, shape in self.inputs.items()}


def _fixed(name: str, shape: Iterable[object]) -> Shape:
    sizes = tuple(shape)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        found = ", ".join("?" if size is None else str(size) for size in sizes)
        raise WeightsError(f"{name}: expected a network exported with fixed sizes, found ({found})")
    return tuple(size for size in sizes if isinstance(size, int))
