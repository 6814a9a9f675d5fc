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
        self._future: asyncio.Future[T] | None = None

    async def result(self) -> T:
        """Return what the work gives, when it is done. Raises what it raises."""
        future = self._future
        if future is None or (future.done() and (future.cancelled() or future.exception())):
            # No task: one that nobody waits for any more would be left behind by a closed call.
            loop = asyncio.get_running_loop()
            future = self._future = loop.run_in_executor(None, self._work)
        return await asyncio.shield(future)
