# SPDX-License-Identifier: Apache-2.0
"""When to show what: reorders frames, waits for most of them, and tells which ones are missing.

A frame's *transit* is its arrival time minus its capture time on the sender's tick scale; the
two clocks differ by an unknown constant, so only differences of transits mean anything. The
buffer shows every frame a fixed delay after its capture, and chooses that delay as a quantile
of the recent transits. So a loss that the redundant copies repair (a transit one group longer)
buys a longer delay by itself once it is frequent, and costs nothing while it is rare.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: Ticks between two frames at most, for a sender that leaves frames out.
MAX_SPACING = 4

#: Ticks remembered in order to know copies: what is older is late in any case.
REMEMBERED = 64

#: Frames in a row, all far too late and older than what was shown, that tell of a tick scale which
#: has started over. Fewer are stragglers: of video that was decoded after motion had taken over.
STRAGGLERS = 5


@dataclass(frozen=True, slots=True)
class PlayoutConfig:
    """``quantile``: part of the frames to wait for. ``window``: transits remembered.

    ``margin``: seconds on top, for the jitter of the showing side itself. ``spread``: the delay
    is at most so many seconds longer than the shortest remembered transit. ``rise``, ``fall``:
    how fast the delay may change, in seconds per second: a rise slows the motion down, a fall
    speeds it up, and neither may be seen. ``slow_starters``: the latest so many frames are not
    waited for while few have come, and the delay may fall by twice as much: the first picture of a
    call is coded while the first frames wait, and what that takes says nothing about later ones.
    ``capacity``: frames held at most. ``conceal``: seconds
    after the last frame for which missing ones are told, to be made up for; then it stands.
    """

    quantile: float = 0.95
    window: int = 75
    margin: float = 0.005
    spread: float = 0.3
    rise: float = 0.4
    fall: float = 0.2
    slow_starters: int = 4
    capacity: int = 64
    discontinuity: float = 2.0
    conceal: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.quantile <= 1 or self.window < 1 or self.capacity < 1:
            raise ValueError(f"expected 0 < quantile <= 1 and sizes of 1 or more, found {self}")


@dataclass(slots=True)
class PlayoutCounts:
    """What became of the frames that arrived.

    ``late``: after their time, dropped. ``duplicate``: of a tick that came before, dropped.
    ``skipped``: in time, but a newer one was due as well. ``overflowed``: dropped, oldest first,
    because the buffer was full. ``restarts``: jumps in the tick scale. ``missing``: told to be.
    """

    shown: int = 0
    late: int = 0
    duplicate: int = 0
    skipped: int = 0
    overflowed: int = 0
    restarts: int = 0
    missing: int = 0


class PlayoutBuffer(Generic[T]):
    """Frames in by arrival, out by tick. Not thread-safe: one thread owns it.

    ``waits``: seconds by which showing lies behind the fastest recent arrival. ``needs``: the
    delay from capture that the frames ask for, up to a constant; ``floor``: what something else,
    as their sound, asks for besides; ``delay``: what it is, or None before the first frame.
    """

    def __init__(self, tick_seconds: float, config: PlayoutConfig | None = None) -> None:
        if tick_seconds <= 0:
            raise ValueError(f"expected a tick of more than 0 s, found {tick_seconds}")
        self.counts = PlayoutCounts()
        self._config = config or PlayoutConfig()
        self._tick_seconds = tick_seconds
        self._transits: deque[float] = deque(maxlen=self._config.window)
        self._held: dict[int, T] = {}
        self._came: deque[int] = deque(maxlen=REMEMBERED)
        self.waits = 0.0
        self.needs: float | None = None
        self.floor = float("-inf")
        self._shown: int | None = None
        self._concealed: int | None = None
        self._spacing = 1
        self._delay: float | None = None
        self._updated = 0.0
        self._strayed = 0

    @property
    def newest_shown(self) -> int | None:
        """Tick of the frame shown last, None before the first."""
        return self._shown

    def push(self, tick: int, frame: T, now: float, *, fresh: bool = True) -> None:
        """Offer the frame captured at ``tick``, arrived at ``now`` (seconds).

        ``fresh``: the frame itself; False: a coarse copy, which gives way to the frame.
        """
        if not self._jumped(tick, now):
            self._strayed = 0
        elif self._straggles(tick):
            self.counts.late += 1
            return
        else:
            self._restart()
        if tick in self._came:
            # A copy of what came before says nothing about how long frames take.
            self.counts.duplicate += 1
            if fresh and tick in self._held:
                self._held[tick] = frame
            return
        self._came.append(tick)
        self._observe(now - tick * self._tick_seconds, now)
        if self._shown is not None and tick < self._shown:
            self.counts.late += 1
            return
        if len(self._held) == self._config.capacity:
            del self._held[min(self._held)]
            self.counts.overflowed += 1
        self._held[tick] = frame

    def due(self, now: float) -> tuple[int, T] | None:
        """Return the newest frame whose time has come, with its tick; None: hold the last one."""
        ready = [tick for tick in self._held if self._due_at(tick) <= now]
        if not ready:
            return None
        newest = max(ready)
        frame = self._held[newest]
        for tick in ready:
            del self._held[tick]
        self.counts.skipped += len(ready) - 1
        self.counts.shown += 1
        if self._shown is not None:
            # Towards the smallest step: a sender may leave frames out, and so may the path.
            step = newest - self._shown
            self._spacing = min(max(step, 1), self._spacing + 1, MAX_SPACING)
        self._shown, self._concealed = newest, None
        return newest, frame

    def next_due(self) -> float | None:
        """Return when ``due`` will have something, or None while nothing is held."""
        return self._due_at(min(self._held)) if self._held else None

    def __len__(self) -> int:
        """How many frames are held."""
        return len(self._held)

    @property
    def delay(self) -> float | None:
        return self._delay

    def missing(self, now: float) -> int | None:
        """Return, once, the tick of a frame whose time has come and that has not; ask after
        ``due``.

        Told half a frame late: a picture made up for nothing is dearer than one a little late. A
        frame that comes after all is shown, even when later ones were told missing: better a step
        back from a guess than a picture that stands.
        """
        tick = self._missing_tick()
        if tick is None or now < self._missing_at(tick):
            return None
        self.counts.missing += 1
        self._concealed = tick
        return tick

    def next_missing(self) -> float | None:
        """Return when ``missing`` will have something unless a frame comes, or None."""
        tick = self._missing_tick()
        return None if tick is None else self._missing_at(tick)

    def _missing_tick(self) -> int | None:
        if self._shown is None:
            return None
        tick = (self._concealed or self._shown) + self._spacing
        within = (tick - self._shown) * self._tick_seconds <= self._config.conceal
        return tick if within else None

    def _missing_at(self, tick: int) -> float:
        return self._due_at(tick) + 0.5 * self._spacing * self._tick_seconds

    def _due_at(self, tick: int) -> float:
        return tick * self._tick_seconds + (self._delay or 0.0)

    def _observe(self, transit: float, now: float) -> None:
        self._transits.append(transit)
        ordered, config = sorted(self._transits), self._config
        count = len(ordered)
        # Of the frames of a group of four, a quarter waited for it as long as any.
        late = min(config.slow_starters, count // 5) if count < config.window else 0
        wanted = ordered[min(int(count * config.quantile), count - 1 - late)]
        wanted = min(wanted, ordered[0] + self._config.spread) + self._config.margin
        self.needs = wanted
        wanted = max(wanted, self.floor)
        if self._delay is None:
            self._delay = wanted
        else:
            step = now - self._updated
            fall = config.fall if count == config.window else 2 * config.fall
            low = self._delay - fall * step
            high = self._delay + config.rise * step
            self._delay = min(max(wanted, low), high)
        self.waits = self._delay - ordered[0]
        self._updated = now

    def _jumped(self, tick: int, now: float) -> bool:
        if self._delay is None:
            return False
        return abs(self._due_at(tick) - now) > self._config.discontinuity

    def _straggles(self, tick: int) -> bool:
        """Return whether a frame that lies far off is just an old one."""
        if self._shown is None or tick > self._shown:
            return False
        self._strayed += 1
        return self._strayed < STRAGGLERS

    def _restart(self) -> None:
        """The sender's tick scale jumped (pause, new call): forget all about the old one."""
        self.counts.restarts += 1
        self._transits.clear()
        self._held.clear()
        self._came.clear()
        self._shown = self._concealed = None
        self._strayed = 0
        self._delay = None
        self.needs = None
