# SPDX-License-Identifier: Apache-2.0
"""What ships is what the manifest says, all of it, and may ship."""

from __future__ import annotations

import pytest

from talkcodec import weights
from talkcodec.errors import WeightsError

#: Bytes of each network at most: the live path loads them when a call begins.
LIMITS = {
    "tracker": 1_600_000,
    "details": 400_000,
    "detector": 1_000_000,
    "restorer": 150_000,
    "matte": 700_000,
    "dense_motion": 1_500_000,
    "painter": 50_000,
    "mouth": 1_300_000,
    "eyes": 1_300_000,
}
NETWORKS = tuple(f"{name}{suffix}" for name in LIMITS for suffix in (".onnx", ".safetensors"))
TABLES = ("motion.safetensors", "tables.safetensors", "topology.safetensors")


def test_the_manifest_names_every_file_and_no_other() -> None:
    files = {
        path.name
        for path in weights.FOLDER.iterdir()
        if path.suffix in {".onnx", ".safetensors", ".npz", ".bin"}
    }
    assert files == set(weights.manifest()) == {*NETWORKS, *TABLES}


@pytest.mark.parametrize("name", [*NETWORKS, *TABLES])
def test_each_file_is_what_was_shipped_and_free_to_use(name: str) -> None:
    assert weights.path(name).is_file()
    entry = weights.manifest()[name]
    assert entry["licence"] == "Apache-2.0"
    assert entry["made_by"]
    assert "NC" not in entry["data"]
    assert entry["data"]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_small(name: str) -> None:
    assert weights.path(name).stat().st_size <= LIMITS[name.partition(".")[0]]


def test_the_model_card_speaks_of_every_network() -> None:
    text = (weights.FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in text for name in LIMITS)


def test_a_name_that_is_not_in_the_manifest_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"expected one of .*, found \.\./x"):
        weights.path("../x")
