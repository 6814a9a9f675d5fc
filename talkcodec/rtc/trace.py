# SPDX-License-Identifier: Apache-2.0
"""A recorded link: when it could deliver, as Mahimahi writes it down.

A line is a time in ms from the start, and stands for one opportunity to deliver 1500 bytes. The
file is repeated when it ends (Netravali et al., Mahimahi, USENIX ATC 2015).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from talkcodec.errors import InputError

#: Bytes that one opportunity delivers.
OPPORTUNITY = 1500

#: Size of a file, and its last time, beyond which it is no trace.
MAX_BYTES, MAX_MS = 32 << 20, 86_400_000


@dataclass(frozen=True, eq=False)
class Trace:
    """Opportunities of a link. ``times``: ms, never falling; the last one, above 0, is the period
    after which they repeat.
    """

    times: tuple[int, ...]

    def __post_init__(self) -> None:
        times = self.times
        if not times or times[-1] <= 0 or times[0] < 0 or list(times) != sorted(times):
            raise InputError("expected times in ms that never fall and end above 0 in a trace")

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a file. Raises ``InputError`` for one that is no trace."""
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(f"expected a trace of {MAX_BYTES} bytes at most, found {path}")
            lines = path.read_bytes().split()
        except OSError as error:
            raise InputError(f"expected a trace file, found {path}: {error}") from None
        if not all(line.isdigit() and int(line) <= MAX_MS for line in lines):
            raise InputError(f"expected a time in ms on every line, found others in {path}")
        return cls(tuple(int(line) for line in lines))

    def time(self, number: int) -> float:
        """Return when opportunity ``number`` (from 0, across repetitions) comes, in seconds."""
        turn, place = divmod(number, len(self.times))
        return (turn * self.times[-1] + self.times[place]) / 1000

    def first_after(self, now: float) -> int:
        """Return the number of the first opportunity at ``now`` (seconds, ≥ 0) or later."""
        turn, rest = divmod(max(now, 0.0) * 1000, self.times[-1])
        return int(turn) * len(self.times) + bisect_left(self.times, rest)


class Bottleneck:
    """The queue in front of a traced link: datagrams share opportunities, unused ones are gone."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._next = 0
        self._left = OPPORTUNITY

    def leaves(self, size: int, now: float, patience: float) -> float | None:
        """Return when ``size`` bytes offered at ``now`` are through, or None after ``patience``.

        A datagram that would wait longer than ``patience`` seconds is refused.
        """
        number, left = self._next, self._left
        if self._trace.time(number) < now:
            number, left = self._trace.first_after(now), OPPORTUNITY
        if self._trace.time(number) - now > patience:
            return None
        while size > left:
            size -= left
            number, left = number + 1, OPPORTUNITY
        self._next, self._left = number, left - size
        return self._trace.time(number)
