# SPDX-License-Identifier: Apache-2.0
"""Frames for calls that measure: of any length, from a short piece that is in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from talkcodec.errors import InputError
from talkcodec.media.reader import VideoReader
from talkcodec.media.sources import Track, builtin_source
from talkcodec.types import U8, Frame

#: Seconds of a source kept in memory; longer calls play it forwards and backwards.
REHEARSED = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """``pictures``, uint8 (H, W, 3), ``rate`` of them a second."""

    pictures: Sequence[U8]
    rate: Fraction

    @classmethod
    def load(cls, name: str | None = None, seconds: float = REHEARSED) -> Self:
        """Draw the built-in portrait, or decode the video file ``name``: ``seconds`` at most.

        Of a file whose frame rate varies, the mean rate is taken. Raises ``InputError`` for one
        that is no video, or has no pictures.
        """
        if name is None:
            return cls([frame.picture for frame in builtin_source(seconds)], Track.load().rate)
        with VideoReader(name) as reader:
            pictures = [frame.picture for frame in limited(reader, seconds)]
            if not pictures:
                raise InputError(f"expected pictures in {name}, found none")
            return cls(pictures, reader.info.rate.limit_denominator(1001))

    def frames(self, seconds: float, rate: Fraction | None = None) -> Iterator[Frame]:
        """Yield ``seconds`` of frames, forwards and backwards as often as it takes.

        ``rate``: frames a second, if it is to be another, at which everything moves faster.
        """
        base = 1 / (rate or self.rate)
        period = max(2 * (len(self.pictures) - 1), 1)
        for tick in itertools.count():
            if tick * base >= seconds:
                return
            place = tick % period
            yield Frame(self.pictures[min(place, period - place)], tick, base)


def limited(source: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """Yield the frames of ``source`` before ``seconds``."""
    return itertools.takewhile(lambda frame: frame.time < seconds, source)


def rehearsed(drawn: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """Draw a constant-rate source beforehand, so that drawing costs the call nothing.

    Yields ``seconds`` of it; what is longer than the source plays it forwards and backwards.
    """
    frames = list(limited(drawn, REHEARSED))
    if frames:
        rate = 1 / frames[0].time_base
        yield from Footage([frame.picture for frame in frames], rate).frames(seconds)
