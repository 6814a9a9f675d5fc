# SPDX-License-Identifier: Apache-2.0
"""Slow work that several ask for and that is to be done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Does ``work`` on a thread, once. Belongs to the event loop's thread.

    Who asks meanwhile waits for the same work, and who stops waiting does not stop it. Where it
    fails, all who wait are told, and the next one begins it anew.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Return what the work gives, when it is done. Raises what it raises."""
        task = self._task
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._task = asyncio.create_task(asyncio.to_thread(self._work))
        return await asyncio.shield(task)
