# SPDX-License-Identifier: Apache-2.0
"""All frequency tables of a stream, under one hash."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from talkcodec.entropy.table import MAX_SLOTS, FrequencyTable
from talkcodec.errors import WeightsError

#: Number of quantisers: indices 0 (finest) to 3.
QUANTISERS = 4

#: Bounds of what a table set may describe.
MAX_DIMENSION, MAX_MODE, MAX_FLOW = 64, 4, 128

_FORMAT = "talkcodec-tables-1"
_MAX_FILE = 16 << 20


class TableSet:
    """Tables for the motion state and for the flow layer.

    ``dimension``: components of a state, 1 to 64. ``flow``: coefficients of each flow mode
    (modes 1 to 4, 1 to 128 coefficients). ``tables`` must hold exactly ``intra.{q}.{d}`` and
    ``inter.{q}.{d}`` for q = 0 … 3 and every component d, and ``flow.{mode}.{i}``;
    ``ValueError`` otherwise.
    """

    def __init__(
        self, tables: Mapping[str, FrequencyTable], dimension: int, flow: Mapping[int, int]
    ) -> None:
        names = table_names(dimension, flow)
        if set(names) != set(tables):
            odd = sorted(set(names) ^ set(tables))
            raise ValueError(f"expected {len(names)} tables, found {len(tables)}, odd: {odd[:4]}")
        self.tables = {name: tables[name] for name in names}
        self.dimension = dimension
        self.flow = dict(sorted(flow.items()))
        self.intra = self._by_quantiser("intra")
        self.inter = self._by_quantiser("inter")
        self.flow_tables = {
            mode: tuple(tables[f"flow.{mode}.{i}"] for i in range(count))
            for mode, count in self.flow.items()
        }
        self.hash = self._hash()

    def _by_quantiser(self, context: str) -> tuple[tuple[FrequencyTable, ...], ...]:
        return tuple(
            tuple(self.tables[f"{context}.{q}.{d}"] for d in range(self.dimension))
            for q in range(QUANTISERS)
        )

    def _hash(self) -> bytes:
        """First 8 bytes of SHA-256 over the canonical form of FORMAT.md section 4."""
        digest = hashlib.sha256(_FORMAT.encode())
        digest.update(struct.pack("<BB", self.dimension, len(self.flow)))
        for mode, count in self.flow.items():
            digest.update(struct.pack("<BH", mode, count))
        for table in self.tables.values():
            digest.update(struct.pack("<hH", table.minimum, len(table.counts)))
            digest.update(np.array(table.counts, dtype="<u2").tobytes())
        return digest.digest()[:8]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file: per table int16 [minimum, count, count, …]."""
        arrays = {
            name: np.array([table.minimum, *table.counts], dtype=np.int16)
            for name, table in self.tables.items()
        }
        flow = ",".join(f"{mode}:{count}" for mode, count in self.flow.items())
        metadata = {"format": _FORMAT, "dimension": str(self.dimension), "flow": flow}
        save_file(arrays, path, metadata=metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableSet:
        """Read what ``save`` wrote. Raises ``WeightsError`` for any other file."""
        path = Path(path)
        try:
            if path.stat().st_size > _MAX_FILE:
                raise WeightsError(f"{path}: expected at most {_MAX_FILE} bytes, found more")
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    found = metadata.get("format")
                    raise WeightsError(f"{path}: expected format {_FORMAT}, found {found}")
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            tables = {name: _table(name, array) for name, array in arrays.items()}
            pairs = (pair.split(":") for pair in metadata["flow"].split(",") if pair)
            flow = {int(mode): int(count) for mode, count in pairs}
            return cls(tables, int(metadata["dimension"]), flow)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{path}: expected frequency tables: {error}") from error


def table_names(dimension: int, flow: Mapping[int, int]) -> list[str]:
    """Return the names of every table of a set, in canonical order."""
    if not 1 <= dimension <= MAX_DIMENSION:
        raise ValueError(f"expected 1 to {MAX_DIMENSION} state components, found {dimension}")
    for mode, count in flow.items():
        if not (1 <= mode <= MAX_MODE and 1 <= count <= MAX_FLOW):
            raise ValueError(
                f"expected flow modes 1 to {MAX_MODE} with 1 to {MAX_FLOW} coefficients,"
                f" found mode {mode} with {count}"
            )
    names = [
        f"{context}.{q}.{d}"
        for context in ("intra", "inter")
        for q in range(QUANTISERS)
        for d in range(dimension)
    ]
    return names + [f"flow.{mode}.{i}" for mode in sorted(flow) for i in range(flow[mode])]


def _table(name: str, array: npt.NDArray[Any]) -> FrequencyTable:
    if array.dtype != np.int16 or array.ndim != 1 or not 3 <= len(array) <= MAX_SLOTS + 1:
        raise ValueError(f"{name}: expected int16 (3 or more,), found {array.dtype} {array.shape}")
    minimum, *counts = array.tolist()
    return FrequencyTable(minimum, tuple(counts))
