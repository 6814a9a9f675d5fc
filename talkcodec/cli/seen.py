# SPDX-License-Identifier: Apache-2.0
"""How a measured call looked, once it had settled: what stood, what was late, what was old."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from talkcodec.cli.loopback import Call, View
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.figures import gaps, longest, ms, quantiles

#: Seconds after the first picture before which nothing is judged, and the part of a short call.
_SETTLED, _SETTLED_PART = 4.0, 0.3

#: When something began and ended, seconds of the clock.
Span = tuple[float, float]


def settling(seconds: float) -> float:
    """Return how long a call of ``seconds`` is not judged after its first picture."""
    return min(_SETTLED, _SETTLED_PART * seconds)


class Seen:
    """What is judged of ``call``, at ``rate`` frames a second: from ``begin`` to ``end``.

    Raises ``TalkcodecError`` where nothing was seen then.
    """

    def __init__(self, call: Call, rate: Fraction) -> None:
        self._call = call
        self._step = float(1 / rate)
        self.end = call.end
        first = call.views[0].time if call.views else call.end
        self.begin = first + settling(call.seconds)
        self.views = [view for view in call.views if self.begin < view.time <= self.end]
        if not self.views:
            raise TalkcodecError("expected pictures after the call had settled, found none")

    def stood(self, *, concealed: bool = True) -> list[Span]:
        """Return when each picture stood, the last one until the end; see ``gaps``."""
        spans = gaps(self.views, self.begin, concealed=concealed)
        last = spans[-1][1] if spans else self.begin
        return [*spans, (last, self.end)]

    def frozen(self, limit: float) -> list[Span]:
        """Return when a picture stood for more than ``limit`` seconds."""
        return [span for span in self.stood() if span[1] - span[0] > limit]

    def waits(self) -> list[Span]:
        """Return capture and display of every frame that came."""
        return [
            (view.time - view.delay, view.time)
            for view in self.views
            if view.delay is not None and not view.concealed
        ]

    def fresh(self) -> float:
        """Return the part of the frame times that showed data not older than two groups."""
        return fresh_part(self._call.views, self.begin, self.end, self._step)

    def next_picture(self, after: float) -> float:
        """Return when the first picture that was not made up appeared, the end without one."""
        times = (view.time for view in self.views if view.time > after and not view.concealed)
        return next(times, self.end)

    def report(self) -> dict[str, Any]:
        """Return what every row tells."""
        call = self._call
        wire = call.wire.forward.offered_bytes + call.wire.back.offered_bytes
        return {
            "pictures": len(self.views),
            "concealed": round(sum(v.concealed for v in self.views) / len(self.views), 4),
            "longest_ms": ms(longest(self.stood())),
            "delay_ms": quantiles(shown - captured for captured, shown in self.waits()),
            "mode_switches": call.media.mode_switches,
            "wire_kbps_both": round(8e-3 * wire / call.seconds, 1),
        }


def fresh_part(views: Sequence[View], begin: float, end: float, step: float) -> float:
    """Return the part of the frame times from ``begin`` to ``end``, every ``step`` seconds, at
    which the newest frame that came was at most two groups behind the one that was to be shown.

    ``views``: in order, one at ``begin`` or before.
    """
    now, newest, place, fresh = views[0], -1, 0, 0
    times = [begin + number * step for number in range(round((end - begin) / step))]
    for time in times:
        while place < len(views) and views[place].time <= time:
            now = views[place]
            newest = newest if now.concealed else max(newest, now.tick)
            place += 1
        expected = int((time - now.origin) / step)
        fresh += expected - newest <= 2 * now.group
    return fresh / max(len(times), 1)
