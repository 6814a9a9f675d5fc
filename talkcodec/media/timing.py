# SPDX-License-Identifier: Apache-2.0
"""Rates of a video, from the times of its frames.

What containers declare is no mean: a browser's recording declares none, and FFmpeg then says the
unit of its time stamps, a thousand a second. What was copied from one container into another may
declare anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path

import av
import av.error
import numpy as np

#: Tick rates offered to a stream, per second; the stream header allows no more.
TICK_RANGE = (Fraction(1), Fraction(1000))

#: Ticks per second that are fine enough wherever frames fall: none is shown more than 5 ms off.
FINE = Fraction(100)

#: Packets that are looked at before the first frame is decoded.
PROBED = 5000

#: How far frames may lie off a grid, in its steps: containers round, and cameras hesitate.
_SLACK = 0.25
#: Largest denominator of a rate, that of 30000/1001.
_DENOMINATOR = 1001
#: Packets by which a frame may come before one that is shown earlier.
_REORDERED = 16


def frame_times(path: Path) -> list[Fraction]:
    """Return when the frames of the first video in ``path`` are shown, in s from the first, sorted.

    Nothing is decoded, and no more than :data:`PROBED` packets are read. Empty where that cannot
    tell: the file can be read once only, carries no times, or is damaged from the start.
    """
    if not path.is_file():
        return []
    stamps: list[int] = []
    base = Fraction(1)
    with suppress(av.error.FFmpegError, OSError), av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = Fraction(stream.time_base or 1)
        hidden = stream.codec_context.name == "vp8"
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            if hidden and not bytes(packet)[0] & 0x10:  # only ever predicted from, never shown
                continue
            stamps.append(packet.pts)
            if len(stamps) == PROBED:
                break
    stamps.sort()
    shown = stamps[:-_REORDERED] if len(stamps) == PROBED else stamps
    return [(stamp - shown[0]) * base for stamp in shown]


def mean_rate(times: Sequence[Fraction], declared: Fraction) -> Fraction:
    """Return the mean frames per second of frames at ``times``, growing, in seconds.

    ``declared`` where the frames keep to it, for stamps are rounded, or are less than two.
    """
    if len(times) < 2 or times[-1] <= times[0] or _steady(times, declared):
        return declared
    measured = (len(times) - 1) / (times[-1] - times[0])
    return max(measured.limit_denominator(_DENOMINATOR), Fraction(1, _DENOMINATOR))


def tick_rate(times: Sequence[Fraction], declared: Fraction, base: Fraction) -> Fraction:
    """Return ticks per second such that frames at ``times``, in seconds, have one each.

    At a constant rate ticks are frames. ``declared``: frames per second that the file tells.
    ``base``: the lowest rate on whose grid all time stamps are said to lie. Frames less than 1 ms
    apart may still share a tick: a stream has no finer ones.
    """
    low, high = TICK_RANGE
    mean = mean_rate(times, declared)
    gaps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not gaps:
        return _bounded(max(mean, min(base, FINE)) if not times else mean)
    if _steady(times, mean):
        return _bounded(mean)
    if base < FINE and _on_grid(times, base) and _apart(times, base):
        return _bounded(base)
    shortest = min(gaps)
    for parts in count(1):
        rate = _bounded(parts / shortest)
        fine = rate >= FINE or _on_grid(times, rate)
        if rate == high or (fine and _apart(times, rate)):
            return max(rate, low)
    raise AssertionError  # count() does not end


def _bounded(rate: Fraction) -> Fraction:
    low, high = TICK_RANGE
    return min(max(rate.limit_denominator(_DENOMINATOR), low), high)


def _steady(times: Sequence[Fraction], rate: Fraction) -> bool:
    """Return whether frame follows frame at ``rate``, none left out."""
    steps = np.array([float(time - times[0]) for time in times]) * float(rate)
    return bool(np.abs(steps - np.arange(len(times))).max() <= _SLACK)


def _on_grid(times: Sequence[Fraction], rate: Fraction) -> bool:
    """Return whether frames lie on a grid of ``rate``, some steps perhaps empty."""
    steps = np.array([float(time) for time in times]) * float(rate)
    return bool(np.abs(steps - np.rint(steps)).max() <= _SLACK)


def _apart(times: Sequence[Fraction], rate: Fraction) -> bool:
    """Return whether each frame falls on a tick of its own, rounded as the encoder does."""
    ticks = [round(time * rate) for time in times]
    return all(earlier < later for earlier, later in pairwise(ticks))
