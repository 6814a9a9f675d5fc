# SPDX-License-Identifier: Apache-2.0
"""When to send a new reference: analysis by synthesis under a bit budget.

The sender draws what the receiver will show and compares it with what it sees. A reference is
sent when the picture is worse than a fresh reference would make it, by more than the bits are
worth right now. Bits come from a token bucket, so the price falls while nothing is sent and
rises after each reference: a long call keeps its average, a short one can still open with a
few good references.

A picture that is bought serves every later frame that is like it, so the moment matters as much
as the price: not right after the first reference, which shows the same, but when the face is
where the bank is worse than it usually is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefreshConfig:
    """``rate``: bits per second for references after the first. ``burst``: bits the bucket holds
    (and starts with). ``threshold``: error gain (1 - SSIM) for which a full bucket pays.
    ``urgent``: gain for which the last bits of a bucket are spent; an empty one buys nothing, but
    the last purchase may leave it in debt. ``patience``: seconds over which a gain must persist,
    so that a blink does not buy a reference.

    ``settle``: seconds after a face's first reference before gain alone buys another. ``unusual``:
    times its mean over the last ``memory`` seconds that a gain must be at first; the longer no
    reference was sent, the less, and after ``wait`` seconds no more than the mean.

    ``hurry_rate``, ``hurry_burst``: of a second bucket, for when the picture is in doubt; it is
    spent at ``threshold`` and without patience. ``torn``: error in torn places, as a mean over the
    picture (1 - SSIM), that puts it in doubt once it lasted for ``torn_patience`` seconds: sheared
    hair and bars for a collar look worse than the same error spread out. ``lost``: gain that does
    so while the first bucket is empty, if it is also ``sudden`` times the mean and lasted for
    ``lost_patience`` seconds: a head turned to where no reference shows it.
    """

    rate: float = 400.0
    burst: float = 3_000.0
    threshold: float = 0.03
    urgent: float = 0.08
    patience: float = 0.12
    settle: float = 2.0
    unusual: float = 1.3
    memory: float = 3.0
    wait: float = 6.0
    hurry_rate: float = 1_000.0
    hurry_burst: float = 24_000.0
    torn: float = 0.024
    torn_patience: float = 0.4
    lost: float = 0.3
    sudden: float = 1.8
    lost_patience: float = 0.2


class RefreshPolicy:
    """Sans-I/O: told times, gains and costs; says when to send."""

    def __init__(self, config: RefreshConfig | None = None) -> None:
        self._config = config or RefreshConfig()
        self._tokens = self._config.burst
        self._reserve = self._config.hurry_burst
        self._hurried = False
        self._time: float | None = None
        self._began = self._newest = -math.inf
        self._usual = 0.0
        self._worth, self._torn, self._lost = _Lasting(), _Lasting(), _Lasting()

    @property
    def tokens(self) -> float:
        """Bits that may be spent now."""
        return self._tokens

    def begin(self, time: float) -> None:
        """Take note that the first reference of a face was sent at ``time``, seconds."""
        self._began = self._newest = time
        self._usual = 0.0

    def decide(self, time: float, gain: float, *, torn: float = 0.0, hurry: bool = False) -> bool:
        """Return whether to send a reference now.

        ``time``: seconds, never going back. ``gain``: how much lower the error would be. ``torn``:
        error where the warp tears. ``hurry``: the picture is in doubt for other reasons.
        """
        config = self._config
        self._refill(time, gain)
        pulled = self._torn.seconds(time, holds=torn > config.torn) >= config.torn_patience
        gone = self._tokens <= 0 and gain >= max(config.lost, config.sudden * self._usual)
        gone = self._lost.seconds(time, holds=gone) >= config.lost_patience
        doubtful = (hurry or pulled or gone) and gain >= config.threshold
        self._hurried = doubtful and self._reserve > 0
        worth = gain >= self._price() and self._unusual(time, gain)
        lasting = self._worth.seconds(time, holds=worth) >= config.patience
        return self._hurried or lasting

    def spent(self, bits: float) -> None:
        """Take the ``bits`` of a reference that was sent out of its bucket; it may go into debt."""
        if self._hurried:
            self._reserve -= bits
        else:
            self._tokens -= bits
        self._hurried = False
        self._newest = self._newest if self._time is None else self._time
        self._worth, self._torn, self._lost = _Lasting(), _Lasting(), _Lasting()

    def _price(self) -> float:
        """Gain needed now: ``threshold`` with a full bucket, ``urgent`` when it is nearly empty."""
        config = self._config
        if self._tokens <= 0:
            return math.inf
        fullness = min(self._tokens / config.burst, 1.0)
        return config.urgent + (config.threshold - config.urgent) * fullness

    def _unusual(self, time: float, gain: float) -> bool:
        """Return whether the bank serves this moment worse than it does others."""
        config = self._config
        if time < self._began + config.settle:
            return False
        waited = min((time - self._newest) / config.wait, 1.0)
        return gain >= self._usual * (config.unusual - max(config.unusual - 1, 0) * waited)

    def _refill(self, time: float, gain: float) -> None:
        config = self._config
        elapsed = 0.0 if self._time is None else max(time - self._time, 0.0)
        self._tokens = min(self._tokens + elapsed * config.rate, config.burst)
        self._reserve = min(self._reserve + elapsed * config.hurry_rate, config.hurry_burst)
        # A plain mean at first, then one that forgets.
        known = min(max(time - self._began, 1e-9), config.memory)
        self._usual += (gain - self._usual) * min(elapsed / known, 1.0)
        self._time = time


class _Lasting:
    """For how long something has been so."""

    def __init__(self) -> None:
        self._since: float | None = None

    def seconds(self, time: float, *, holds: bool) -> float:
        """Return for how many seconds it has been so at ``time``, below 0 if it is not."""
        if not holds:
            self._since = None
            return -1.0
        if self._since is None:
            self._since = time
        return time - self._since
