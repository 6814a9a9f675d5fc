# SPDX-License-Identifier: Apache-2.0
"""A frequency table: how probable each integer is, in integers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import Any

import constriction
import numpy as np

#: Counts of a table sum to 2**PRECISION.
PRECISION = 14

#: Most slots in one table, the escape slot included.
MAX_SLOTS = 1024

#: The smallest and the largest integer that a table may list.
LOWEST, HIGHEST = -(2**15), 2**15 - 1

#: Fixed-point bits of constriction's models: its stream.model classes are compiled for 24.
_CODER_PRECISION = 24


@dataclass(frozen=True)
class FrequencyTable:
    """Counts of the integers ``minimum`` … ``maximum`` and, in the last slot, of all others.

    ``counts``: 2 to 1024 integers ≥ 1 that sum to 2**14. Raises ``ValueError`` for anything else.
    """

    minimum: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.counts) <= MAX_SLOTS:
            raise ValueError(f"expected 2 to {MAX_SLOTS} slots, found {len(self.counts)}")
        if min(self.counts) < 1 or sum(self.counts) != 1 << PRECISION:
            raise ValueError(
                f"expected counts of 1 or more that sum to {1 << PRECISION},"
                f" found a minimum of {min(self.counts)} and a sum of {sum(self.counts)}"
            )
        if self.minimum < LOWEST or self.maximum > HIGHEST:
            raise ValueError(
                f"expected integers of 16 bits, found {self.minimum} to {self.maximum}"
            )

    @cached_property
    def escape(self) -> int:
        """Index of the slot that stands for every integer outside the range."""
        return len(self.counts) - 1

    @property
    def maximum(self) -> int:
        """The largest integer with a slot of its own."""
        return self.minimum + len(self.counts) - 2

    @cached_property
    def model(self) -> Any:
        """The same table as a constriction model, made once.

        constriction turns floats p into the left edges ⌊s · (p₀ + … + pₖ₋₁)⌋ + k, where
        s = (2²⁴ − n) / Σp (its `fast_quantized_cdf`). Given pₖ = countₖ · 2¹⁰ − 1, all sums are
        integers below 2⁵³, Σp is 2²⁴ − n, s is exactly 1, and the edges are exactly 2¹⁰ times
        the cumulative counts: nothing is rounded, on any machine.
        """
        scaled = np.array(self.counts, dtype=np.float64) * (1 << _CODER_PRECISION - PRECISION) - 1
        return constriction.stream.model.Categorical(scaled, perfect=False)

    def bits(self, value: int) -> float:
        """Ideal cost of ``value`` in bits, escape code included."""
        slot = value - self.minimum
        if 0 <= slot < self.escape:
            return PRECISION - log2(self.counts[slot])
        outside = value - self.maximum if slot > 0 else self.minimum - value
        return PRECISION - log2(self.counts[-1]) + 2 * outside.bit_length()
