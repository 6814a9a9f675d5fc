# SPDX-License-Identifier: Apache-2.0
"""How often somebody else may make us work: token buckets, alone and one a name.

Time is seconds of the caller's clock, and never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, and ``per_second`` in the long run."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        if not (self.per_second > 0 and self.burst >= 1):
            raise ValueError(f"expected a rate above 0 and a burst of 1 or more, found {self}")


#: Messages on the control channel and control messages on others that a session listens to. A
#: receiver in trouble on a lossy path sends about ten a second.
CONTROL_RATE = Rate(per_second=50.0, burst=200.0)


#: Stream headers that differ in more than their tick. Each begins a new stream, and costs the
#: decoder its bank; a sender changes its parameters when it reconnects, if ever.
HEADER_RATE = Rate(per_second=1.0, burst=1.0)


class TokenBucket:
    """Allows what ``Rate`` allows; ``refused`` counts the rest."""

    def __init__(self, rate: Rate) -> None:
        self.refused = 0
        self._rate = rate
        self._tokens = rate.burst
        self._at: float | None = None

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Return whether ``amount`` may happen now, and count it."""
        if self.level(now) < amount:
            self.refused += 1
            return False
        self._tokens -= amount
        return True

    def level(self, now: float) -> float:
        """Return what is left at ``now``."""
        if self._at is not None and now > self._at:
            earned = (now - self._at) * self._rate.per_second
            self._tokens = min(self._tokens + earned, self._rate.burst)
        self._at = now if self._at is None else max(now, self._at)
        return self._tokens

    def full(self, now: float) -> bool:
        """Return whether the past no longer matters: a new bucket would do the same."""
        return self.level(now) >= self._rate.burst


class Buckets:
    """A bucket for each name, of which it holds ``most``.

    Full: the bucket used longest ago is dropped, and with it what its name had used up. Choose
    ``most`` so large that filling it takes longer than a bucket takes to fill.
    """

    def __init__(self, rate: Rate, most: int) -> None:
        self.refused = 0
        self._rate = rate
        self._most = most
        self._held: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, name: Hashable, now: float, amount: float = 1.0) -> bool:
        """Return whether ``name`` may do ``amount`` more now, and count it."""
        allowed = self._bucket(name, now).take(now, amount)
        self.refused += not allowed
        return allowed

    def allows(self, name: Hashable, now: float) -> bool:
        """Return whether ``take`` would succeed, without counting."""
        bucket = self._held.get(name)
        return bucket is None or bucket.level(now) >= 1

    def _bucket(self, name: Hashable, now: float) -> TokenBucket:
        bucket = self._held.get(name)
        if bucket is not None:
            self._held.move_to_end(name)
            return bucket
        # Those that are full again have nothing to remember; looking at two keeps this cheap.
        for old in list(islice(self._held, 2)):
            if self._held[old].full(now):
                del self._held[old]
        if len(self._held) >= self._most:
            self._held.popitem(last=False)
        bucket = self._held[name] = TokenBucket(self._rate)
        return bucket
