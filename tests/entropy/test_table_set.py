# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from talkcodec.entropy import PRECISION, FrequencyTable, TableSet, laplace_table
from talkcodec.entropy.tableset import table_names
from talkcodec.errors import WeightsError

FLOW = {2: 5, 1: 6}


def make(dimension: int = 3, flow: dict[int, int] | None = None, scale: float = 2.0) -> TableSet:
    flow = FLOW if flow is None else flow
    names = table_names(dimension, flow)
    return TableSet({name: laplace_table(scale, 9) for name in names}, dimension, flow)


def test_tables_are_found_by_context() -> None:
    names = table_names(3, FLOW)
    tables = {name: laplace_table(0.5 + i / 4, 9) for i, name in enumerate(names)}
    found = TableSet(tables, 3, FLOW)
    assert found.intra[2][1] is tables["intra.2.1"]
    assert found.inter[0][2] is tables["inter.0.2"]
    assert found.flow_tables[2][4] is tables["flow.2.4"]
    assert list(found.flow) == [1, 2]
    assert len(names) == 2 * 4 * 3 + 11


def test_save_and_load(tmp_path: Path) -> None:
    tables = make()
    tables.save(tmp_path / "tables.safetensors")
    again = TableSet.load(tmp_path / "tables.safetensors")
    assert again.tables == tables.tables
    assert (again.dimension, again.flow, again.hash) == (3, {1: 6, 2: 5}, tables.hash)


def test_hash_depends_on_every_count_and_not_on_the_order_given() -> None:
    tables = make()
    backwards = dict(reversed(tables.tables.items()))
    assert TableSet(backwards, 3, dict(reversed(FLOW.items()))).hash == tables.hash
    hashes = {tables.hash}
    for name in tables.tables:
        counts = list(tables.tables[name].counts)
        counts[0] += 1
        counts[9] -= 1
        changed = {**tables.tables, name: FrequencyTable(-9, tuple(counts))}
        hashes.add(TableSet(changed, 3, FLOW).hash)
    moved = {**tables.tables, "intra.0.0": FrequencyTable(-8, tables.tables["intra.0.0"].counts)}
    hashes.add(TableSet(moved, 3, FLOW).hash)
    assert len(hashes) == len(tables.tables) + 2
    assert len(tables.hash) == 8


@pytest.mark.parametrize(("dimension", "flow"), [(0, {}), (65, {}), (3, {5: 6}), (3, {1: 129})])
def test_bounds(dimension: int, flow: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        table_names(dimension, flow)


def test_a_missing_or_surplus_table_is_refused() -> None:
    tables = make().tables
    with pytest.raises(ValueError, match=r"odd: \['flow\.1\.0'"):
        TableSet({k: v for k, v in tables.items() if k != "flow.1.0"}, 3, FLOW)
    with pytest.raises(ValueError, match=r"odd: \['intra\.4\.0'"):
        TableSet({**tables, "intra.4.0": laplace_table(1, 3)}, 3, FLOW)


@pytest.mark.parametrize(
    "damage", ["missing", "garbage", "truncated", "foreign", "counts", "dtype"]
)
def test_loading_anything_else_is_a_weights_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tables.safetensors"
    make().save(path)
    data = path.read_bytes()
    metadata = {"format": "talkcodec-tables-1", "dimension": "1", "flow": ""}
    good = np.array([0, (1 << PRECISION) - 1, 1], dtype=np.int16)
    arrays = dict.fromkeys(table_names(1, {}), good)
    if damage == "missing":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(bytes(100))
    elif damage == "truncated":
        path.write_bytes(data[:-9])
    elif damage == "foreign":
        save_file(arrays, path)
    elif damage == "counts":
        save_file({**arrays, "intra.0.0": good * 0}, path, metadata=metadata)
    else:
        save_file({**arrays, "intra.0.0": good.astype(np.float32)}, path, metadata=metadata)
    with pytest.raises(WeightsError, match="expected") as caught:
        TableSet.load(path)
    assert "\n" not in str(caught.value)


def test_no_flow_modes_at_all(tmp_path: Path) -> None:
    make(flow={}).save(tmp_path / "plain.safetensors")
    assert TableSet.load(tmp_path / "plain.safetensors").flow == {}
