# SPDX-License-Identifier: Apache-2.0
"""Frequency tables from samples. Floats live here only: what leaves is integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from talkcodec.entropy.table import HIGHEST, LOWEST, MAX_SLOTS, PRECISION, FrequencyTable
from talkcodec.types import F64

#: An integer keeps a slot of its own when its expected count, before rounding, is at least this.
_WORTH_A_SLOT = 0.5

#: The shape's weight in samples: it decides where data is thin and fades where data is plenty.
_PRIOR_SAMPLES = 64.0

#: Tried tail weights of Student's t, and infinity's stand-in, the discretised Laplace (0).
_TAILS = (0.0, 1.5, 2.0, 3.0, 5.0)

#: Tried widths, in units of the mean distance from the median.
_WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4)


def build_table(
    samples: npt.ArrayLike, *, prior: float = _PRIOR_SAMPLES, slots: int = MAX_SLOTS
) -> FrequencyTable:
    """Fit a table to integer ``samples`` (any shape; none gives a table around 0).

    The expected frequency of an integer is (its count + ``prior`` · its probability under a
    fitted shape) / (number of samples + ``prior``). The shape is the likelier of a discretised
    Laplace and Student's t with several tails, so that values never seen in training stay
    affordable. Integers too rare for one of 2**14 counts go to the escape slot; ``slots`` bounds
    the size (3 to 1024).
    """
    values = np.clip(np.asarray(samples).ravel(), LOWEST, HIGHEST).astype(np.int64)
    grid = _grid(values)
    shape = _fit(values, grid)
    counts = np.bincount(values - grid[0], minlength=len(grid)).astype(np.float64)
    expected = (counts + prior * shape) / (len(values) + prior)
    first, last = _support(expected, grid, values, slots)
    inside = expected[first : last + 1]
    return FrequencyTable(int(grid[first]), quantise([*inside, max(1.0 - inside.sum(), 0.0)]))


def laplace_table(scale: float, radius: int) -> FrequencyTable:
    """Return the discretised Laplace of mean |x| ≈ ``scale`` (> 0) on ±``radius``."""
    grid = np.arange(-radius, radius + 1, dtype=np.int64)
    inside = _density(grid, 0, scale, 0.0)
    wide = _density(np.arange(-16 * radius - 16, 16 * radius + 17), 0, scale, 0.0)
    mass = inside / wide.sum()
    return FrequencyTable(-radius, quantise([*mass, max(1.0 - mass.sum(), 0.0)]))


def quantise(weights: Sequence[float]) -> tuple[int, ...]:
    """Round ``weights`` (≥ 0, not all 0) to counts ≥ 1 that sum to 2**14, largest remainder."""
    array = np.asarray(weights, dtype=np.float64)
    share = array / array.sum() * ((1 << PRECISION) - len(array))
    counts = np.floor(share).astype(np.int64)
    short = (1 << PRECISION) - len(array) - int(counts.sum())
    for index in np.argsort(counts - share, kind="stable")[:short]:
        counts[index] += 1
    return tuple(int(count) + 1 for count in counts)


def _grid(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return consecutive integers that hold the samples and their likely surroundings."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    margin = 8 + (high - low)
    return np.arange(max(low - margin, LOWEST), min(high + margin, HIGHEST) + 1, dtype=np.int64)


def _density(grid: npt.NDArray[np.int64], centre: int, scale: float, tail: float) -> F64:
    """Return the unnormalised shape on ``grid``; ``tail`` 0 is Laplace, else degrees of freedom."""
    distance = np.abs(grid - centre) / scale
    if tail == 0.0:
        return np.asarray(np.exp(-distance), dtype=np.float64)
    return np.asarray((1.0 + distance**2 / tail) ** (-(tail + 1) / 2), dtype=np.float64)


def _fit(values: npt.NDArray[np.int64], grid: npt.NDArray[np.int64]) -> F64:
    """Return the likeliest shape's probabilities on ``grid``, summing to 1."""
    centre = int(np.median(values)) if len(values) else 0
    spread = float(np.abs(values - centre).mean()) if len(values) else 1.0
    seen, counts = np.unique(values - grid[0], return_counts=True)
    best: F64 | None = None
    best_score = -np.inf
    for tail in _TAILS:
        for factor in _WIDTHS:
            density = _density(grid, centre, max(spread * factor, 0.2), tail)
            density /= density.sum()
            score = float((counts * np.log(np.maximum(density[seen], 1e-300))).sum())
            if score > best_score:
                best, best_score = density, score
    assert best is not None  # the loop runs and every score is finite
    return best


def _support(
    expected: F64, grid: npt.NDArray[np.int64], values: npt.NDArray[np.int64], slots: int
) -> tuple[int, int]:
    """Return the first and last index of the integers that get slots: around the median."""
    worthy = np.flatnonzero(expected * (1 << PRECISION) >= _WORTH_A_SLOT)
    middle = int((np.median(values) if len(values) else 0) - grid[0])
    first, last = min(int(worthy[0]), middle), max(int(worthy[-1]), middle)
    while last - first + 2 > slots:  # one more for the escape
        if expected[first] <= expected[last] and first < middle:
            first += 1
        else:
            last -= 1
    return first, last
