# SPDX-License-Identifier: Apache-2.0
"""Which picture or packet of sound an RTP time stamp belongs to (FORMAT.md section 14).

A receiver of RTP knows time stamps up to a constant only, and aiortc counts from the first packet
that arrived, whichever that was; the sender reports that would tell more (RFC 3550 section 6.4.1)
it keeps to itself. So time stamps carry a sequence in their lowest bit of which any few in a row
occur once. A time stamp is off by 21 µs at most for it, and nobody hears or sees that.
"""

from __future__ import annotations

from fractions import Fraction

#: RTP clock units of a packet of sound: 20 ms at 48 kHz.
SOUND_STEP = 960

#: RTP clock units a second of video.
VIDEO_CLOCK = 90_000


def _sequence() -> tuple[int, ...]:
    bits = [1] * 7
    while len(bits) < 127:
        bits.append(bits[-6] ^ bits[-7])
    return tuple(bits)


_BITS = _sequence()
PERIOD = len(_BITS)


def video_step(tick_rate: Fraction) -> int:
    """Return the RTP clock units of a tick, at ``tick_rate`` ticks a second."""
    return round(VIDEO_CLOCK / tick_rate)


def stamp(number: int, step: int) -> int:
    """Return the time stamp of picture or packet ``number`` (≥ 0), ``step`` units after another."""
    return number * step + _BITS[number % PERIOD]


class MarkReader:
    """Tells the numbers of a stream whose time stamps count from an unknown one.

    Until the sequence is recognised, which takes about ten packets, the first one heard is taken
    for the one that it was ``expected`` to be; after that the number is right if this was off by
    63 at most.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._origin: int | None = None
        self._candidates = frozenset(range(PERIOD))

    @property
    def certain(self) -> bool:
        """Whether the sequence was recognised."""
        return len(self._candidates) == 1

    def number(self, pts: int, expected: int) -> int:
        """Return the number of the packet stamped ``pts``.

        ``expected``: a guess at the number of the first packet given to this method.
        """
        if self._origin is None:
            self._origin = pts
        steps, bit = self._split(pts - self._origin)
        fitting = {
            first
            for first in self._candidates
            if _BITS[(first + steps) % PERIOD] - _BITS[first] == bit
        }
        # Time stamps that fit nowhere are not made by these rules: then the guess must do.
        self._candidates = frozenset(fitting) or frozenset(range(PERIOD))
        return self._first(expected) + steps

    def _split(self, difference: int) -> tuple[int, int]:
        """Return how many steps ``difference`` spans, and what remains."""
        steps = (difference + self._step // 2) // self._step
        return steps, difference - steps * self._step

    def _first(self, expected: int) -> int:
        """Return the possible number of the first packet that is nearest to ``expected``."""

        def distance(candidate: int) -> int:
            return (candidate - expected + PERIOD // 2) % PERIOD - PERIOD // 2

        return expected + min((distance(c) for c in self._candidates), key=abs)
