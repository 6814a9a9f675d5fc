# SPDX-License-Identifier: Apache-2.0
"""What happened to one end of a measured call, and why: freezes, frames made up, sound lost.

Something done on purpose (another mode, a mute, another connection) may make a picture stand or a
block of sound go missing for a moment. So ``Diary`` notes when such things were done, and what goes
wrong then is told apart from what goes wrong in between.
"""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from talkcodec.clock import Clock
from talkcodec.media.sinks import ShownFrame
from talkcodec.rtc.stats import FREEZE

#: Seconds after something was done for which it may be the cause of what goes wrong.
_AFTER = 1.5

#: Freezes listed one by one, the latest; all are counted.
_LISTED = 100

#: Ticks for which a frame that was made up may still come.
_LATEST = 64

#: What goes wrong by itself, beside the names of what was done on purpose.
STEADY = "steady"


@dataclass(slots=True)
class _Deed:
    name: str
    begin: float
    end: float


class Diary:
    """What was done on purpose, and how much a busy machine held the process up.

    ``held_up``: seconds for which the event loop was late at most since the last ``take``, and
    ``collected`` for which Python looked for garbage.
    """

    def __init__(self, clock: Clock) -> None:
        self.done: Counter[str] = Counter()
        self.held_up = self.collected = 0.0
        self._clock = clock
        self._deeds: deque[_Deed] = deque(maxlen=16)
        self._collecting = 0.0

    @contextmanager
    def deed(self, name: str) -> Iterator[None]:
        """Note that ``name`` is being done."""
        self.done[name] += 1
        deed = _Deed(name, self._clock.now(), float("inf"))
        self._deeds.append(deed)
        try:
            yield
        finally:
            deed.end = self._clock.now()

    def cause(self, begin: float, end: float) -> str:
        """Return what was being done between two times, the latest of it, or ``STEADY``."""
        for deed in reversed(self._deeds):
            if deed.begin <= end and begin <= deed.end + _AFTER:
                return deed.name
        return STEADY

    def late(self, seconds: float) -> None:
        """The event loop came ``seconds`` late."""
        self.held_up = max(self.held_up, seconds)

    def take(self) -> dict[str, float]:
        """Return what held the process up most since the last call, in ms."""
        most = {"loop_late": self.held_up, "garbage": self.collected}
        self.held_up = self.collected = 0.0
        return {name: round(1000 * value) for name, value in most.items()}

    def garbage(self, phase: str, _info: dict[str, int]) -> None:
        """Python begins or ends to look for garbage; for ``gc.callbacks``."""
        now = self._clock.now()
        if phase == "start":
            self._collecting = now
        else:
            self.collected = max(self.collected, now - self._collecting)

    @contextmanager
    def watching_garbage(self) -> Iterator[None]:
        gc.callbacks.append(self.garbage)
        try:
            yield
        finally:
            gc.callbacks.remove(self.garbage)


#: Totals by name, any of which may say why a picture stood.
Totals = Callable[[], dict[str, int]]


@dataclass(slots=True)
class Pictures:
    """Frame times of what one end is shown. Belongs to the thread that shows.

    ``fresh``: shown from what was sent; ``made_up``: only guessed; both once for each tick.
    ``first``, ``last``: tick and time of the first and the latest picture. ``freezes``: how many
    pictures stood too long, by cause; ``longest``: of each, seconds; ``listed``: the latest.
    """

    diary: Diary
    clock: Clock
    totals: Totals
    fresh: int = 0
    made_up: int = 0
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None
    freezes: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    listed: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_LISTED))
    _guessed: set[int] = field(default_factory=set)
    _before: dict[str, int] = field(default_factory=dict)
    _mode: str = "motion"

    def shown(self, frame: ShownFrame) -> None:
        """``frame`` is on the screen."""
        now = self.clock.now()
        if frame.made_up:
            self.made_up += frame.tick not in self._guessed
            self._guessed = {t for t in self._guessed if t > frame.tick - _LATEST} | {frame.tick}
        else:
            self.fresh += 1
            self.made_up -= frame.tick in self._guessed
            self._guessed.discard(frame.tick)
        totals = self.totals()
        if self.last is not None and now - self.last[1] > FREEZE:
            self._note(frame, now, totals)
        self._before, self._mode = totals, frame.mode
        self.first = self.first or (frame.tick, now)
        self.last = max(frame.tick, self.last[0] if self.last else 0), now

    def _note(self, frame: ShownFrame, now: float, totals: dict[str, int]) -> None:
        assert self.first is not None  # there was a picture before
        assert self.last is not None
        stood = now - self.last[1]
        cause = self.diary.cause(self.last[1], now)
        self.freezes[cause] += 1
        self.longest[cause] = max(self.longest.get(cause, 0.0), stood)
        changes = {name: count - self._before.get(name, 0) for name, count in totals.items()}
        self.listed.append(
            {
                "second": round(self.last[1] - self.first[1], 1),
                "ms": round(1000 * stood),
                "cause": cause,
                "mode": f"{self._mode} to {frame.mode}",
                "meanwhile": {name: change for name, change in changes.items() if change}
                | self.diary.take(),
            }
        )

    def report(self, tick_rate: float) -> dict[str, Any]:
        """Return what there is to say, from the first picture to the last."""
        if self.first is None or self.last is None:
            return {"frame_times": 0, "freezes": {}}
        times = self.last[0] - self.first[0] + 1
        seconds = self.last[1] - self.first[1] + 1 / tick_rate
        return {
            "frame_times": times,
            "fresh": self.fresh,
            "made_up": self.made_up,
            "not_shown": max(times - self.fresh - self.made_up, 0),
            "per_second": round((self.fresh + self.made_up) / seconds, 2),
            "fresh_per_second": round(self.fresh / seconds, 2),
            "freezes_over_200ms": dict(self.freezes),
            "longest_freeze_ms": {c: round(1000 * s) for c, s in self.longest.items()},
            "freezes": list(self.listed),
        }


@dataclass(slots=True)
class Losses:
    """Blocks of sound made up, by cause; ``look`` often enough."""

    diary: Diary
    clock: Clock
    by_cause: Counter[str] = field(default_factory=Counter)
    _seen: int = 0
    _at: float = 0.0

    def look(self, concealed: int) -> None:
        """There were ``concealed`` blocks made up so far."""
        now = self.clock.now()
        self.by_cause[self.diary.cause(self._at or now, now)] += concealed - self._seen
        self._seen, self._at = concealed, now
