# SPDX-License-Identifier: Apache-2.0
"""Data that ships inside the package, checked against a manifest before use."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from talkcodec.entropy import TableSet
from talkcodec.errors import WeightsError
from talkcodec.motion.shape import ShapeModel
from talkcodec.render.engine import FORMATS, Engine, EngineName, Precision, choose, open_engine
from talkcodec.render.mesh import Topology

FOLDER = Path(__file__).parent


def path(name: str) -> Path:
    """Return the file ``name`` of the manifest after checking its SHA-256.

    Raises:
        WeightsError: the file is not in the manifest, missing, or not what was shipped.
    """
    entry = manifest().get(name)
    if entry is None:
        raise WeightsError(f"expected one of {sorted(manifest())}, found {name}")
    file = FOLDER / name
    if not file.is_file():
        raise WeightsError(f"expected {name} in the package, found none: reinstall talkcodec")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise WeightsError(f"{name}: expected sha256 {entry['sha256'][:16]}…, found {found[:16]}…")
    return file


@cache
def manifest() -> dict[str, dict[str, str]]:
    """Return the manifest: per file its sha256, what made it, from what data, what licence."""
    entries: dict[str, dict[str, str]] = json.loads((FOLDER / "manifest.json").read_text())
    return entries


def open_network(name: str, engine: EngineName = "auto", precision: Precision = "auto") -> Engine:
    """Open the shipped network ``name`` for one thread; see ``open_engine``.

    Raises:
        WeightsError: there is none of that name, or its file is not what was shipped.
        MissingDependency: the engine is not installed.
    """
    model = path(name + FORMATS[choose(engine)]).read_bytes()
    return open_engine(model, name=engine, threads=1, precision=precision)


@cache
def shape_model() -> ShapeModel:
    """The face shape bases that states refer to."""
    return ShapeModel.load(path("motion.safetensors"))


@cache
def topology() -> Topology:
    """The triangles between landmarks."""
    return Topology.load(path("topology.safetensors"))


@cache
def tables() -> TableSet:
    """The frequency tables of the shipped format."""
    return TableSet.load(path("tables.safetensors"))
