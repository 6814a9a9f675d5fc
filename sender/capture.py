# SPDX-License-Identifier: Apache-2.0
"""Frames at the pace of real time, from a source that may be faster or slower."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from talkcodec.clock import Clock
from talkcodec.types import Frame


class Capture:
    """A thread that takes frames from ``source`` and hands each over when its time has come.

    A file is held back to its own time stamps; a camera is never faster than they are, so its
    frames pass at once. ``hand_over`` is called on the thread and must not wait. ``done`` is
    called last, with the exception that ended the source or None.
    """

    def __init__(
        self,
        source: Iterable[Frame],
        hand_over: Callable[[Frame], object],
        done: Callable[[Exception | None], object],
        clock: Clock,
    ) -> None:
        self._source = source
        self._hand_over = hand_over
        self._done = done
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Begin; the first frame passes at once."""
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
        begin: float | None = None
        for frame in self._source:
            time = float(frame.time)
            if begin is None:
                begin = self._clock.now() - time
            if self._stop.wait(max(begin + time - self._clock.now(), 0.0)):
                return
            self._hand_over(frame)
