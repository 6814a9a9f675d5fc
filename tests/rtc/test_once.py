# SPDX-License-Identifier: Apache-2.0
"""Slow work that several ask for at the same time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from talkcodec.rtc.once import Once


class Work:
    """Waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.begun = 0
        self.free = threading.Event()
        self.failure: Exception | None = None

    def __call__(self) -> int:
        self.begun += 1
        assert self.free.wait(60)
        if self.failure is not None:
            raise self.failure
        return self.begun


async def test_all_wait_for_one_and_the_same_work() -> None:
    work = Work()
    once = Once(work)
    waiting = [asyncio.create_task(once.result()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert not waiting[1].done()
    work.free.set()
    assert await asyncio.gather(*waiting[1:]) == [1, 1]
    assert await once.result() == 1
    assert work.begun == 1


async def test_what_failed_is_begun_anew() -> None:
    work = Work()
    work.failure = ValueError("no")
    work.free.set()
    once = Once(work)
    with pytest.raises(ValueError, match="no"):
        await once.result()
    work.failure = None
    assert await once.result() == 2
