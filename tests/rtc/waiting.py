# SPDX-License-Identifier: Apache-2.0
"""Waiting for what real connections and threads do in their own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(ready: Callable[[], bool], seconds: float = 60) -> None:
    """Let real peers work until ``ready``: for as long as a busy machine may take."""
    async with asyncio.timeout(seconds):
        while not ready():  # noqa: ASYNC110  there is nobody who would set an event
            await asyncio.sleep(0.02)
