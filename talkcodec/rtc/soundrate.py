# SPDX-License-Identifier: Apache-2.0
"""How sound travels: in short packets where there is room, in fewer and smaller ones elsewhere.

Headers are most of it: 72 bytes on each packet, 50 times a second, are 29 kbit/s, beside 20 of Opus
and 9 of motion. A path that does not carry all that gets packets of 60 ms, which come 40 ms later;
pictures wait for them as for any sound that is late.
"""

from __future__ import annotations

from dataclasses import dataclass

from talkcodec.rtc.videorate import RTP_OVERHEAD

#: Seconds of a block of sound, of which packets hold one or more.
BLOCK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """``rate``: bits per second of Opus; ``blocks``: of 20 ms in a packet, 1 to 3."""

    rate: int
    blocks: int

    @property
    def wire(self) -> float:
        """Bits per second on the wire."""
        return self.rate + 8 * RTP_OVERHEAD / (self.blocks * BLOCK_SECONDS)


@dataclass(frozen=True, slots=True)
class SoundRateConfig:
    """``wide``: on a good path; ``narrow``: on others, at most as fast as ``wide``. ``less``: of
    what the path is thought to carry, bits per second, below which it is narrow, and ``more``: from
    which it may be wide again, after ``patience`` seconds, doubled up to ``patience_most`` when
    that was too much within ``trial`` seconds.
    """

    wide: SoundPlan = SoundPlan(20_000, 1)
    narrow: SoundPlan = SoundPlan(10_000, 3)
    less: float = 45_000.0
    more: float = 55_000.0
    patience: float = 5.0
    patience_most: float = 80.0
    trial: float = 10.0


def sound_plans(rate: int) -> SoundRateConfig:
    """Return what to choose from where Opus may take ``rate`` bits per second at most."""
    usual = SoundRateConfig()
    narrow = SoundPlan(min(rate, usual.narrow.rate), usual.narrow.blocks)
    return SoundRateConfig(SoundPlan(rate, usual.wide.blocks), narrow)


class SoundRate:
    """Sans-I/O: told what the path carries; says how sound goes. Time is the caller's, growing."""

    def __init__(self, config: SoundRateConfig | None = None) -> None:
        self.config = config or SoundRateConfig()
        self.plan = self.config.wide
        self._patience = self.config.patience
        self._changed = self._widened = float("-inf")

    def look(self, estimate: float, now: float, *, full: bool = False) -> SoundPlan:
        """Return the plan of this moment.

        ``estimate``: bits per second that the path is thought to carry; ``full``: a queue stands.
        """
        config, wide = self.config, self.plan == self.config.wide
        if wide and estimate < config.less:
            failed = now - self._widened < config.trial
            longer = min(2 * self._patience, config.patience_most)
            self._patience = longer if failed else config.patience
            self.plan, self._changed = config.narrow, now
        elif not wide and (full or estimate < config.more):
            self._changed = now
        elif not wide and now - self._changed >= self._patience:
            self.plan, self._changed = config.wide, now
            self._widened = now
        return self.plan
