# SPDX-License-Identifier: Apache-2.0
"""What the machine did while a call was measured: what it held up is no fault of the call.

A process of its own, ``python -m talkcodec.cli.machine``, asks to be woken every 10 ms and notes
how late that happens, until its standard input ends; then it prints what it noted, as JSON. It
shares no lock with the call, so it is late only when the machine has no core for it. The call's
event loop is asked the same: what makes that one late besides is the call's own work. On Linux the
kernel also tells for how long threads of this process were ready to run and had no core: schedulers
let those wait that work, rather than those that wake for a moment.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import select
import sys
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from talkcodec.clock import Stopwatch, SystemClock
from talkcodec.rtc.figures import quantiles

#: Seconds between wakes, and lateness that is listed with its time, in seconds.
PERIOD, LISTED = 0.01, 0.02

#: Periods between looks at what waits for a core.
_LOOK = 50

#: Late wakes listed, the latest; all are counted.
_MOST = 20_000

#: Seconds by which a stall may lie before or after what it explains.
_NEAR = 0.1


class Lateness:
    """How late a timer woke. ``stalls``: (time, seconds late) of the worst, oldest first."""

    def __init__(self) -> None:
        self.tenths: Counter[int] = Counter()
        self.stalls: list[tuple[float, float]] = []

    def note(self, now: float, late: float) -> None:
        """A timer woke at ``now``, ``late`` seconds after its time."""
        self.tenths[round(10_000 * max(late, 0.0))] += 1
        if late > LISTED:
            self.stalls.append((now, late))
            del self.stalls[:-_MOST]

    def report(self) -> dict[str, float]:
        """Return quantiles in ms."""
        ordered = sorted(self.tenths.items())
        total = sum(self.tenths.values())
        found: dict[str, float] = {}
        for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
            passed = 0
            for tenths, count in ordered:
                passed += count
                if passed >= part * total:
                    found[name] = tenths / 10
                    break
        return found

    def worst(self, begin: float, end: float) -> float:
        """Return the seconds of the longest stall listed between two times, 0 without one."""
        within = [
            late for at, late in self.stalls if at - late < end + _NEAR and at > begin - _NEAR
        ]
        return max(within, default=0.0)


class Waiting:
    """How long threads of this process waited for a core, as the kernel counts it; look often.

    ``samples``: (time, seconds of all threads so far).
    """

    def __init__(self) -> None:
        self._threads: dict[str, int] = {}
        self.samples: list[tuple[float, float]] = []

    def look(self, now: float) -> None:
        """Take a sample; where the kernel does not tell, there is nothing to take."""
        for path in Path("/proc/self/task").glob("*/schedstat"):
            with suppress(OSError):  # the thread has ended meanwhile
                self._threads[path.parent.name] = int(path.read_text().split()[1])
        if self._threads:
            self.samples.append((now, sum(self._threads.values()) / 1e9))

    def cores(self, begin: float = float("-inf"), end: float = float("inf")) -> float | None:
        """Return how many threads waited on average between two times; None if nobody knows."""
        samples = self.samples
        if len(samples) < 2:
            return None
        first = max(bisect_right(samples, (begin, float("inf"))) - 1, 0)
        last = min(bisect_left(samples, (end, 0.0)), len(samples) - 1)
        first = min(first, last - 1) if last else 0
        (one, before), (two, after) = samples[first], samples[max(last, 1)]
        return round((after - before) / max(two - one, 1e-3), 2)


class Machine:
    """Watches the machine and the running event loop, inside ``async with``.

    ``stopwatch``: for receivers, whose drawing is reported as well. ``system``, ``loop`` and
    ``waiting`` are complete once the block has ended.
    """

    def __init__(self) -> None:
        self.stopwatch = Stopwatch()
        self.system, self.loop = Lateness(), Lateness()
        self.waiting = Waiting()
        self._clock = SystemClock()
        self._used = self._lasted = 0.0

    async def __aenter__(self) -> Self:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "talkcodec.cli.machine",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._task = asyncio.create_task(self._pulse())
        self._begin, self._cpu = self._clock.now(), time.process_time()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lasted = self._clock.now() - self._begin
        self._used = time.process_time() - self._cpu
        self._task.cancel()
        text, _ = await self._child.communicate(b"")
        noted = json.loads(text)
        self.system.tenths.update({int(name): count for name, count in noted["tenths"].items()})
        self.system.stalls += [(at, late) for at, late in noted["stalls"]]

    def now(self) -> float:
        """Return seconds of the clock by which stalls are listed, which calls use as well."""
        return self._clock.now()

    def report(self) -> dict[str, Any]:
        """Return times in ms: how late a timer of the machine woke and one of the event loop, and
        what drawing took; the cores that this process used, for how many more its threads waited,
        and the machine's load.
        """
        return {
            "timer_late_ms": self.system.report(),
            "loop_late_ms": self.loop.report(),
            "draw_ms": quantiles(self.stopwatch.durations["draw"]),
            "cores_used": round(self._used / max(self._lasted, 1e-3), 2),
            "cores_waited_for": self.waiting.cores(),
            "load": round(os.getloadavg()[0], 1),
        }

    async def _pulse(self) -> None:
        for number in itertools.count():
            if number % _LOOK == 0:
                self.waiting.look(self._clock.now())
            due = self._clock.now() + PERIOD
            await asyncio.sleep(PERIOD)
            now = self._clock.now()
            self.loop.note(now, now - due)


def main() -> None:
    """Note how late this process wakes, until standard input ends; then print it."""
    clock, lateness = SystemClock(), Lateness()
    while True:
        due = clock.now() + PERIOD
        if select.select([sys.stdin], [], [], PERIOD)[0]:
            break
        now = clock.now()
        lateness.note(now, now - due)
    sys.stdout.write(json.dumps({"tenths": lateness.tenths, "stalls": lateness.stalls}) + "\n")


if __name__ == "__main__":
    main()
