# SPDX-License-Identifier: Apache-2.0
"""Comparing rate-distortion curves: the rate for an equal score, and BD-rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np

from talkcodec.types import F64

#: (rate in kbit/s, score) of one operating point.
RatePoint = tuple[float, float]

#: "=" measured inside the ladder; "≤" the true rate is at most this, "≥" at least this.
Relation = Literal["=", "≤", "≥"]


@dataclass(frozen=True, slots=True)
class MatchedRate:
    """The rate at which a codec reaches a score, or the ladder's end where it lies outside."""

    kbps: float
    relation: Relation


def matched_rate(
    points: Sequence[RatePoint], target: float, *, lower_is_better: bool = True
) -> MatchedRate:
    """Find the lowest rate of a ladder at which the score is as good as ``target``.

    Between two ladder points the score is linear in the logarithm of the rate. Where already
    the cheapest point is good enough the answer is "≤ its rate"; where no point is, "≥ the
    highest rate".
    """
    if not points:
        raise ValueError("expected at least one ladder point, found none")
    ordered = sorted(points)
    sign = 1.0 if lower_is_better else -1.0
    excess = [sign * (score - target) for _, score in ordered]
    if excess[0] <= 0:
        exact = excess[0] == 0
        return MatchedRate(ordered[0][0], "=" if exact else "≤")
    for index in range(1, len(ordered)):
        if excess[index] <= 0:
            low, high = log(ordered[index - 1][0]), log(ordered[index][0])
            share = excess[index - 1] / (excess[index - 1] - excess[index])
            return MatchedRate(exp(low + share * (high - low)), "=")
    return MatchedRate(ordered[-1][0], "≥")


@dataclass(frozen=True, slots=True)
class Mean:
    """A geometric mean over clips, and how many of its terms are only bounds."""

    value: float
    count: int
    at_most: int
    at_least: int

    @property
    def relation(self) -> Relation | Literal["≈"]:
        """What the mean is, given its terms: "≈" when bounds point both ways."""
        if self.at_most and self.at_least:
            return "≈"
        return "≤" if self.at_most else "≥" if self.at_least else "="


def geometric_mean(terms: Sequence[MatchedRate]) -> Mean:
    """Geometric mean of rates (or of ratios kept in the same form)."""
    if not terms:
        raise ValueError("expected at least one term, found none")
    value = exp(sum(log(term.kbps) for term in terms) / len(terms))
    relations = [term.relation for term in terms]
    return Mean(value, len(terms), relations.count("≤"), relations.count("≥"))


def bd_rate(
    anchor: Sequence[RatePoint], test: Sequence[RatePoint], *, lower_is_better: bool = True
) -> float | None:
    """Return the mean rate difference of ``test`` to ``anchor`` in % at equal score.

    Bjøntegaard's measure with piecewise cubic Hermite interpolation (PCHIP, which does not
    overshoot) of log rate over score; negative is a saving. None where the curves have fewer
    than two usable points or their score ranges do not overlap.
    """
    from scipy.interpolate import PchipInterpolator

    sign = -1.0 if lower_is_better else 1.0
    curves = [_curve(points, sign) for points in (anchor, test)]
    if any(len(scores) < 2 for scores, _ in curves):
        return None
    low = max(scores[0] for scores, _ in curves)
    high = min(scores[-1] for scores, _ in curves)
    if high <= low:
        return None
    areas = [float(PchipInterpolator(*curve).integrate(low, high)) for curve in curves]
    return (exp((areas[1] - areas[0]) / (high - low)) - 1) * 100


def _curve(points: Sequence[RatePoint], sign: float) -> tuple[F64, F64]:
    """Return rising quality and log rate, keeping only points that more rate made better."""
    kept: list[tuple[float, float]] = []
    for rate, score in sorted(points):
        quality = sign * score
        if not kept or quality > kept[-1][0]:
            kept.append((quality, log(rate)))
    array = np.array(kept, np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
