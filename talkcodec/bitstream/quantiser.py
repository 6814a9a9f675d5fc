# SPDX-License-Identifier: Apache-2.0
"""Quantisers of the motion state, exact in integers (FORMAT.md section 5)."""

from __future__ import annotations

from collections.abc import Iterable

#: Step of each quantiser index, in eighths of the finest step.
MULTIPLIERS = (8, 12, 16, 24)

#: The quantiser of redundant frames.
COARSEST = 3


def rescale(values: Iterable[int], source: int, target: int) -> list[int]:
    """Convert state integers from quantiser ``source`` to ``target``, halves rounded up."""
    if source == target:
        return [int(value) for value in values]
    numerator, denominator = 2 * MULTIPLIERS[source], MULTIPLIERS[target]
    return [(int(value) * numerator + denominator) // (2 * denominator) for value in values]


def to_quantiser(state: Iterable[int], quantiser: int) -> list[int]:
    """Convert a state in finest steps to the scale of ``quantiser`` (0 to 3)."""
    return rescale(state, 0, quantiser)
