# SPDX-License-Identifier: Apache-2.0
"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts: ``first``, doubled each time, ``longest`` at most.

    Each wait is drawn between half of that and all of it, so that many clients that lost one
    server do not come back at one moment.
    """

    first: float = 0.5
    longest: float = 15.0

    def wait(self, failures: int, rng: random.Random) -> float:
        """Return the seconds to wait after ``failures`` (≥ 1) attempts in a row that failed."""
        whole = min(self.first * 2.0 ** min(failures - 1, 30), self.longest)
        return rng.uniform(whole / 2, whole)
