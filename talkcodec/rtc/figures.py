# SPDX-License-Identifier: Apache-2.0
"""Figures by which calls are judged, simulated or real: gaps between pictures, quantiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture: when it appeared, of which tick, and whether it was made up."""

    time: float
    tick: int
    concealed: bool


def gaps(
    shown: Sequence[Shown], begin: float, *, concealed: bool = True
) -> list[tuple[float, float]]:
    """Return when each picture from ``begin`` (seconds) on appeared, and the next one.

    ``concealed``: pictures that were made up count as pictures.
    """
    counted = [each for each in shown if concealed or not each.concealed]
    return list(pairwise(each.time for each in counted if each.time >= begin))


def longest(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds of the longest of ``spans``, 0 without any."""
    return max((end - begin for begin, end in spans), default=0.0)


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum of seconds, in ms; zeros without any."""
    ordered = sorted(values) or [0.0]
    last = len(ordered) - 1
    places = {"p50": last // 2, "p95": int(last * 0.95), "max": last}
    return {name: ms(ordered[place]) for name, place in places.items()}


def ms(seconds: float) -> float:
    """Return ``seconds`` in ms, to a tenth."""
    return round(1000 * seconds, 1)
