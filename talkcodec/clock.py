# SPDX-License-Identifier: Apache-2.0
"""Time, injected: nothing in talkcodec reads a clock it was not given."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> float:
        """Return seconds since an arbitrary origin; never goes back."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        return time.perf_counter()


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by ``seconds`` (≥ 0)."""
        if seconds < 0:
            raise ValueError(f"expected a step of 0 s or more, found {seconds}")
        self._now += seconds


class Stopwatch:
    """Collects how long named stages took, in seconds.

    ``keep`` bounds memory: only the latest ``keep`` durations of a stage are held.
    """

    def __init__(self, clock: Clock | None = None, keep: int = 100_000) -> None:
        self._clock = clock or SystemClock()
        self._keep = keep
        self.durations: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a ``with`` block under ``name``."""
        start = self._clock.now()
        try:
            yield
        finally:
            record = self.durations[name]
            record.append(self._clock.now() - start)
            if len(record) > self._keep:
                del record[: len(record) - self._keep]


class NullStopwatch(Stopwatch):
    """Times nothing, at next to no cost: the default of the live path."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:  # noqa: ARG002 - the base class has it
        yield
