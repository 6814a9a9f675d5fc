# SPDX-License-Identifier: Apache-2.0
"""The one queue between threads: bounded, drops the oldest, counts what it dropped."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds up to ``capacity`` items. Full: the oldest is dropped, because late is worthless here.

    Any number of threads may put and take.
    """

    def __init__(self, capacity: int = 1) -> None:
        if capacity < 1:
            raise ValueError(f"expected a capacity of 1 or more, found {capacity}")
        self.dropped = 0
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: T) -> None:
        """Add ``item``; after ``close`` it is ignored."""
        with self._changed:
            if self._closed:
                return
            if len(self._items) == self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify()

    def take(self, timeout: float | None = None) -> T | None:
        """Wait up to ``timeout`` seconds (None: for ever) for the oldest item.

        Returns None when the time is over, or when the box is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout)
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Accept nothing more and wake every waiter; items already inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._items)

    @property
    def closed(self) -> bool:
        """True once closed and empty: nothing will ever come out again."""
        with self._changed:
            return self._closed and not self._items
