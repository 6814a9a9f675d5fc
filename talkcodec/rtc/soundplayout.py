# SPDX-License-Identifier: Apache-2.0
"""When to play what: sound in the order of its packets, kept together with the pictures.

Sound is played in blocks of 20 ms without a gap. Its delay from capture is what nearly all blocks
need to be there in time, or what the pictures need where that is more. It changes by whole blocks:
one is put in, or one is left out where it is quiet, so the two are never more than about 20 ms
apart for long; the pictures follow the sound in the other direction (``PlayoutBuffer.floor``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from talkcodec.media.opus import LOOKAHEAD
from talkcodec.media.sound import BLOCK, I16, RATE, SoundBlock

_SECONDS = BLOCK / RATE
_LOOKAHEAD = LOOKAHEAD / RATE

#: Below this mean amplitude of 16 bits a block is quiet: leaving it out is not heard.
_QUIET = 200.0

#: A difference of so many seconds is made up for at once.
_FAR = 0.5

#: Blocks in a row that come so late before the delay is made theirs: after a pause aiortc hands
#: out the few that lay in its jitter buffer meanwhile.
_STALE = 25


@dataclass(frozen=True, slots=True)
class SoundPlayoutConfig:
    """``quantile``: part of the blocks to wait for; ``window``: blocks remembered for that.

    ``margin``: seconds on top. ``capacity``: blocks held, the oldest is dropped beyond.
    ``patience``: seconds that pictures wait for sound, and sound for pictures, at most beyond what
    they need themselves: what is later than that is out of step, and better so than both out of
    date.
    """

    quantile: float = 0.98
    window: int = 100
    margin: float = 0.01
    capacity: int = 64
    patience: float = 0.3


@dataclass(slots=True)
class SoundPlayoutCounts:
    """Blocks: ``played``, of them ``concealed``, made up for ones that did not come in time, and
    ``muted``, of which none was sent; ``late``, ``duplicate`` and ``overflowed`` ones that were
    dropped; ``skipped`` and ``inserted`` to change the delay.
    """

    played: int = 0
    concealed: int = 0
    muted: int = 0
    late: int = 0
    duplicate: int = 0
    overflowed: int = 0
    skipped: int = 0
    inserted: int = 0


class SoundPlayout:
    """Blocks in by arrival, out by number. Not thread-safe: one thread owns it.

    ``floor``: the delay from capture that pictures need, in the same time as ``delay``.
    """

    def __init__(self, config: SoundPlayoutConfig | None = None) -> None:
        self.counts = SoundPlayoutCounts()
        self.floor = float("-inf")
        self.delay: float | None = None
        self.needs: float | None = None
        self._config = config or SoundPlayoutConfig()
        self._transits: deque[float] = deque(maxlen=self._config.window)
        self._held: dict[int, I16] = {}
        self._zero: float | None = None
        self._next = 0
        self._stale = 0
        # Blocks below this number that are missing were never sent; infinite during a mute.
        self._silent = float("-inf")
        self._last: I16 = np.zeros(BLOCK, np.int16)

    def __len__(self) -> int:
        """How many blocks are held."""
        return len(self._held)

    def set_time(self, number: int, time: float) -> None:
        """Block ``number`` was captured ``time`` seconds after tick 0.

        Where that moves everything by half a second or more, playing begins anew: what was to come
        next could be due in the far future.
        """
        if self._silent == float("inf"):
            self._silent = number
        zero = time - number * _SECONDS
        if self._zero is not None and abs(zero - self._zero) > _FAR:
            self.delay = self.needs = None
            self._transits.clear()
            self._held.clear()
            self._stale = 0
        self._zero = zero

    def mute(self) -> None:
        """The other side sends nothing from now on, until it tells of a time again."""
        self._silent = float("inf")

    def push(self, number: int, samples: I16, now: float) -> None:
        """Offer block ``number`` (960,), decoded at ``now`` seconds of the receiver's clock."""
        if self._zero is None:
            self.counts.late += 1
            return
        transit = now - self._captured(number)
        if self._is_stale(transit):
            self.counts.late += 1
            return
        self._observe(transit)
        if self.delay is None:
            self.delay, self._next = self._target(), number
        if number in self._held:
            self.counts.duplicate += 1
        elif number < self._next:
            self.counts.late += 1
        else:
            self._held[number] = samples
            if len(self._held) > self._config.capacity:
                del self._held[min(self._held)]
                self.counts.overflowed += 1

    def next_due(self) -> float | None:
        """Return when the next block is to be played, or None before the first."""
        if self.delay is None or self._zero is None:
            return None
        return self._captured(self._next) + self.delay

    def due(self, now: float) -> SoundBlock | None:
        """Return the block to play now, made up if it is missing; None: it is not time yet."""
        when = self.next_due()
        if when is None or self.delay is None or now < when:
            return None
        self._adapt(now - when)
        time = self._captured(self._next)
        samples = self._held.pop(self._next, None)
        self.counts.played += 1
        if samples is None:
            if self._next < self._silent:
                self.counts.muted += 1
            else:
                self.counts.concealed += 1
            samples = self._conceal()
        self._last = samples
        self._next += 1
        return SoundBlock(samples, time)

    def _captured(self, number: int) -> float:
        return (self._zero or 0.0) + number * _SECONDS - _LOOKAHEAD

    def _is_stale(self, transit: float) -> bool:
        if self.needs is None or abs(transit - self.needs) < _FAR:
            self._stale = 0
            return False
        self._stale += 1
        if self._stale < _STALE:
            return True
        self._stale = 0
        self._transits.clear()
        return False

    def _observe(self, transit: float) -> None:
        self._transits.append(transit)
        ordered = sorted(self._transits)
        place = min(int(len(ordered) * self._config.quantile), len(ordered) - 1)
        self.needs = ordered[place] + self._config.margin

    def _target(self) -> float:
        return max(self.needs or 0.0, self.floor) if self.needs is not None else self.floor

    def _adapt(self, behind: float) -> None:
        """Move the delay towards what is needed, by whole blocks; ``behind``: we are late."""
        delay = self.delay or 0.0
        excess = delay - self._target()
        if abs(excess) > _FAR or behind > _FAR:
            self._jump(behind)
        elif excess < -_SECONDS:
            # The same block comes later; what is played now fills the time until then.
            self.delay = delay + _SECONDS
            self._next -= 1
            self.counts.inserted += 1
        elif excess > 1.5 * _SECONDS and self._is_quiet(self._next):
            self.delay = delay - _SECONDS
            self._held.pop(self._next, None)
            self._next += 1
            self.counts.skipped += 1

    def _jump(self, behind: float) -> None:
        """Take the delay that is needed at once, and drop what that makes late."""
        old = self.delay or 0.0
        self.delay = self._target()
        step = round((old - self.delay + behind) / _SECONDS)
        self._next += step
        for number in [number for number in self._held if number < self._next]:
            del self._held[number]
            self.counts.skipped += 1

    def _is_quiet(self, number: int) -> bool:
        samples = self._held.get(number)
        return samples is None or float(np.abs(samples.astype(np.float32)).mean()) < _QUIET

    def _conceal(self) -> I16:
        """Return what was played last, fading: half as loud in each block without news."""
        fade = np.linspace(0.7, 0.35, BLOCK, dtype=np.float32)
        return (self._last * fade).astype(np.int16)
