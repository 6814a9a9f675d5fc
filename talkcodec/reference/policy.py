# SPDX-License-Identifier: Apache-2.0
"""When to send a new reference: analysis by synthesis under a bit budget.

The sender draws what the receiver will show and compares it with what it sees. A reference is
sent when the picture is worse than a fresh reference would make it, by more than the bits are
worth right now. Bits come from a token bucket, so the price falls while nothing is sent and
rises after each reference: a long call keeps its average, a short one can still open with a
few good references.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefreshConfig:
    """``rate``: bits per second for references after the first. ``burst``: bits the bucket holds
    (and starts with). ``threshold``: error gain (1 - SSIM) for which a full bucket pays.
    ``urgent``: gain for which the last bits of a bucket are spent; an empty one buys nothing, but
    the last purchase may leave it in debt. ``patience``: seconds over which a gain must persist,
    so that a blink does not buy a reference. ``hurry_rate``, ``hurry_burst``: of a second bucket,
    for when the picture is in doubt; it is spent at ``threshold`` and without patience. ``torn``:
    error in torn places, as a mean over the picture (1 - SSIM), from which it is in doubt: sheared
    hair and bars for a collar look worse than the same error spread out.
    """

    rate: float = 400.0
    burst: float = 3_000.0
    threshold: float = 0.03
    urgent: float = 0.08
    patience: float = 0.12
    hurry_rate: float = 1_000.0
    hurry_burst: float = 24_000.0
    torn: float = 0.032


class RefreshPolicy:
    """Sans-I/O: told times, gains and costs; says when to send."""

    def __init__(self, config: RefreshConfig | None = None) -> None:
        self._config = config or RefreshConfig()
        self._tokens = self._config.burst
        self._reserve = self._config.hurry_burst
        self._hurried = False
        self._time: float | None = None
        self._since: float | None = None

    @property
    def tokens(self) -> float:
        """Bits that may be spent now."""
        return self._tokens

    def decide(self, time: float, gain: float, *, torn: float = 0.0, hurry: bool = False) -> bool:
        """Return whether to send a reference now.

        ``time``: seconds, never going back. ``gain``: how much lower the error would be. ``torn``:
        error where the warp tears. ``hurry``: the picture is in doubt for other reasons.
        """
        self._refill(time)
        doubtful = (hurry or torn > self._config.torn) and gain >= self._config.threshold
        self._hurried = doubtful and self._reserve > 0
        if self._hurried:
            return True
        if gain < self._price():
            self._since = None
            return False
        if self._since is None:
            self._since = time
        return time - self._since >= self._config.patience

    def spent(self, bits: float) -> None:
        """Take the ``bits`` of a reference that was sent out of its bucket; it may go into debt."""
        if self._hurried:
            self._reserve -= bits
        else:
            self._tokens -= bits
        self._since, self._hurried = None, False

    def _price(self) -> float:
        """Gain needed now: ``threshold`` with a full bucket, ``urgent`` when it is nearly empty."""
        config = self._config
        if self._tokens <= 0:
            return float("inf")
        fullness = min(self._tokens / config.burst, 1.0)
        return config.urgent + (config.threshold - config.urgent) * fullness

    def _refill(self, time: float) -> None:
        if self._time is not None:
            config, elapsed = self._config, max(time - self._time, 0.0)
            self._tokens = min(self._tokens + elapsed * config.rate, config.burst)
            self._reserve = min(self._reserve + elapsed * config.hurry_rate, config.hurry_burst)
        self._time = time
