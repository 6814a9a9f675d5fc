# SPDX-License-Identifier: Apache-2.0
"""A camera through OpenCV."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import InputError
from talkcodec.types import Frame

_MICROSECONDS = Fraction(1, 1_000_000)


class Camera:
    """Iterates over a camera's frames as they arrive, stamped by ``clock`` in microseconds.

    Reading waits for the next frame, so it belongs on a thread of its own. The driver's queue is
    kept at one frame where it allows that: old frames are late frames.

    Raises:
        InputError: there is no such camera, or it stops giving frames.
    """

    def __init__(
        self,
        index: int = 0,
        *,
        width: int = 640,
        height: int = 480,
        rate: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        import cv2

        self._clock = clock or SystemClock()
        self._index = index
        self._grab = cv2.VideoCapture(index)
        if not self._grab.isOpened():
            raise InputError(f"expected a camera at index {index}, found none")
        for setting, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, rate),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ):
            self._grab.set(setting, value)

    def __iter__(self) -> Iterator[Frame]:
        start = self._clock.now()
        while self._grab.isOpened():
            good, picture = self._grab.read()
            if not good:
                raise InputError(f"expected a frame of camera {self._index}, found none")
            stamp = round((self._clock.now() - start) / float(_MICROSECONDS))
            rgb = np.ascontiguousarray(np.asarray(picture, np.uint8)[:, :, ::-1])
            yield Frame(rgb, stamp, _MICROSECONDS)

    def close(self) -> None:
        self._grab.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def has_camera(index: int = 0) -> bool:
    """Return whether a camera can be opened at ``index``. Asks the system, so it takes a while."""
    if not sys.platform.startswith("linux"):
        return _opens(index)
    # On Linux OpenCV complains on standard error about a device that is not there.
    return Path(f"/dev/video{index}").exists() and _opens(index)


def _opens(index: int) -> bool:
    try:
        Camera(index).close()
    except InputError:
        return False
    return True
