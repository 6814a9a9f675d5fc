# SPDX-License-Identifier: Apache-2.0
"""Frames or sound at the pace of real time, from a source that may be faster or slower."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from talkcodec.clock import Clock
from talkcodec.media.sound import SoundBlock
from talkcodec.types import Frame

Item = TypeVar("Item", Frame, SoundBlock)

#: ``begin`` of a source that comes at its own pace from elsewhere, as the track of a connection
#: does. Were it paced by its first item, one that came late would make every later one wait.
LIVE = float("-inf")


class Capture(Generic[Item]):
    """A thread that takes items from ``source`` and hands each over when its time has come.

    A file is held back to its own time stamps; a camera is never faster than they are, so its
    frames pass at once. A frame's time is its stamp, that of sound when its last sample was heard.
    ``hand_over`` is called on the thread and must not wait. ``done`` is called last, with the
    exception that ended the source or None. ``begin``: the clock's time at the source's time 0,
    for sources that belong together; by default what it is when the first item comes. ``LIVE``
    lets everything pass at once.
    """

    def __init__(
        self,
        source: Iterable[Item],
        hand_over: Callable[[Item], object],
        done: Callable[[Exception | None], object],
        clock: Clock,
        *,
        begin: float | None = None,
    ) -> None:
        self._source: Iterable[Item] = source
        self._hand_over: Callable[[Item], object] = hand_over
        self._done = done
        self._clock = clock
        self._begin = begin
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin; the first item passes at once, or at its time after ``begin``."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        failure = None
        try:
            self._pace()
        except Exception as error:  # noqa: BLE001  whatever a source raises, its owner must know
            failure = error
        self._done(failure)

    def _pace(self) -> None:
        begin = self._begin
        for item in self._source:
            time = _time(item)
            if begin is None:
                begin = self._clock.now() - time
            if self._stop.wait(max(begin + time - self._clock.now(), 0.0)):
                return
            self._hand_over(item)


def _time(item: Frame | SoundBlock) -> float:
    """Return when ``item`` was complete, in seconds of its source."""
    return float(item.time) if isinstance(item, Frame) else item.time + item.seconds
