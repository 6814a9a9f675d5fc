# SPDX-License-Identifier: Apache-2.0
"""Pictures and packages that the metrics' tests share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import talkcodec.media
from talkcodec.metrics import Clip
from talkcodec.types import U8

DATA = Path(__file__).parent / "data"
PORTRAIT = Path(talkcodec.media.__file__).parent / "data" / "portrait.webp"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, visibly, tests marked with a package that is not installed."""
    for item in items:
        for mark in item.iter_markers("needs"):
            absent = [name for name in mark.args if find_spec(name) is None]
            if absent:
                item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(absent)}"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*packages): skipped where one is not installed")


def read(path: Path) -> U8:
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture(scope="session")
def portrait() -> U8:
    """The built-in portrait, uint8 (256, 256, 3)."""
    return read(PORTRAIT)


@pytest.fixture(scope="session")
def examples() -> dict[str, Clip]:
    """The example pictures of the LPIPS authors, one frame each."""
    names = ("ex_ref", "ex_p0", "ex_p1")
    return {name: Clip([read(DATA / f"{name}.png")], Fraction(1)) for name in names}


@pytest.fixture(scope="session")
def worse(portrait: U8) -> dict[str, list[Clip]]:
    """The portrait with growing blur and growing noise, one frame each."""
    rng = np.random.default_rng(0)
    blurred = [cv2.GaussianBlur(portrait, (0, 0), sigma) for sigma in (0.7, 1.5, 3.0)]
    noisy = [
        np.clip(np.round(portrait + rng.normal(0, sigma, portrait.shape)), 0, 255)
        for sigma in (4, 12, 36)
    ]

    def clips(pictures: Sequence[npt.ArrayLike]) -> list[Clip]:
        return [Clip([np.asarray(p, np.uint8)], Fraction(25)) for p in pictures]

    return {"blur": clips(blurred), "noise": clips(noisy)}
