# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file, as they should be shown.

Time stamps are the file's own (variable frame rates stay variable), counted from the first frame;
rotation told by metadata is applied; grey and deep pictures become 8-bit RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np

from talkcodec.errors import InputError, reason
from talkcodec.media.timing import frame_times, mean_rate, tick_rate
from talkcodec.types import U8, Frame

#: Pictures with more pixels than this are refused before they are decoded.
MAX_PIXELS = 1 << 26

_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file says about itself before any frame is decoded.

    ``width``, ``height``: in pixels, before rotation. ``rate``: mean frames per second, by the
    time stamps of its first minutes. ``tick_rate``: ticks per second such that each of those has
    one of its own; higher than ``rate`` where the frame rate varies. ``frames``: as declared, 0 if
    unknown.
    """

    width: int
    height: int
    rate: Fraction
    tick_rate: Fraction
    frames: int


class VideoReader:
    """Iterates over the frames of ``path``; a context manager.

    ``dropped``: frames left out so far, since they were not later than the one before.

    Raises:
        InputError: the file is missing, no video, or larger than 2**26 pixels a picture; while
            iterating: it is damaged, after every frame before that place.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = Path(path).name
        self.dropped = 0
        try:
            self._container = av.open(str(path))
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(f"expected a video file, found {path}: {reason(error)}") from None
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"expected a video stream in {self._name}, found none")
        self._stream = self._container.streams.video[0]
        self.info = self._read_info(Path(path))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in the order of their times, which grow strictly from 0."""
        first: int | None = None
        last = -1
        try:
            for picture in self._container.decode(self._stream):
                base = Fraction(picture.time_base or 1 / self.info.rate)
                stamp = picture.pts
                if stamp is None:  # raw streams carry no times
                    base, stamp = 1 / self.info.rate, last + 1
                first = stamp if first is None else first
                if stamp - first <= last:
                    self.dropped += 1
                    continue
                last = stamp - first
                yield Frame(_upright(picture), last, base)
        except av.error.FFmpegError as error:
            raise InputError(
                f"expected a whole video, found damage in {self._name}: {reason(error)}"
            ) from None

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_info(self, path: Path) -> VideoInfo:
        width, height = self._stream.width, self._stream.height
        if not 0 < width * height <= MAX_PIXELS:
            self._container.close()
            raise InputError(
                f"expected a picture of at most {MAX_PIXELS} pixels, found {width}x{height}"
            )
        times = frame_times(path)
        declared = Fraction(self._stream.average_rate or _DEFAULT_RATE)
        base = Fraction(self._stream.base_rate or declared)
        rate, ticks = mean_rate(times, declared), tick_rate(times, declared, base)
        return VideoInfo(width, height, rate, ticks, self._stream.frames)


def _upright(picture: av.VideoFrame) -> U8:
    """Return ``picture`` as uint8 (H, W, 3) RGB, turned as its metadata asks."""
    rgb = picture.to_ndarray(format="rgb24")
    turns = round(picture.rotation / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(rgb, turns))
