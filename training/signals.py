# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM as a question that the loop asks between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether SIGINT or SIGTERM has come; neither interrupts a step."""
    event = threading.Event()

    def note(_: int, __: FrameType | None) -> None:
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event.is_set
        return
    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
