# SPDX-License-Identifier: Apache-2.0
"""Who is in the real-time class after an AV1 encoder was opened. Only root can be put there."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from talkcodec.reference.av1 import Av1PictureEncoder
from talkcodec.reference.scheduling import ordinary_priority

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lists threads with their class"
)


def classes(threads: set[int]) -> set[int]:
    return {os.sched_getscheduler(thread) for thread in threads}


def threads() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}


def become(policy: int, priority: int) -> None:
    """Put the calling thread into a class, or skip the test."""
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError:
        pytest.skip("expected the right to real-time priority, found none")


def in_a_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread of its own and raise what it raises."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@pytest.fixture
def audio() -> Iterator[int]:
    """The id of a host's own real-time thread, which sleeps."""
    started, done = threading.Event(), threading.Event()
    found: list[int] = []

    def run() -> None:
        found.append(threading.get_native_id())
        started.set()
        done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        try:
            os.sched_setscheduler(found[0], os.SCHED_RR, os.sched_param(7))
        except PermissionError:
            pytest.skip("expected the right to real-time priority, found none")
        yield found[0]
    finally:
        done.set()
        thread.join()


def test_no_thread_of_the_encoder_stays_in_the_real_time_class() -> None:
    before = threads()
    encoder = Av1PictureEncoder(256)
    for level in (90, 95):
        encoder.encode(np.full((256, 256, 3), level, np.uint8))
    born = threads() - before
    assert born
    assert classes(born) == {os.SCHED_OTHER}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    encoder.close()


def test_a_real_time_thread_of_the_host_stays_one(audio: int) -> None:
    encoder = Av1PictureEncoder(256)
    encoder.encode(np.full((256, 256, 3), 90, np.uint8))
    assert os.sched_getscheduler(audio) == os.SCHED_RR
    assert os.sched_getparam(audio).sched_priority == 7
    encoder.close()


def test_the_calling_thread_gets_its_own_class_back() -> None:
    def call() -> None:
        become(os.SCHED_RR, 3)
        before = threads()
        encoder = Av1PictureEncoder(256)
        encoder.encode(np.full((256, 256, 3), 90, np.uint8))
        assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (os.SCHED_RR, 3)
        assert classes(threads() - before) == {os.SCHED_OTHER}
        encoder.close()

    in_a_thread(call)


def test_it_restores_after_a_failure_too() -> None:
    def fail() -> None:
        with ordinary_priority():
            become(os.SCHED_FIFO, 2)
            raise RuntimeError("no picture")

    def call() -> None:
        with pytest.raises(RuntimeError, match="no picture"):
            fail()
        assert os.sched_getscheduler(0) == os.SCHED_OTHER

    in_a_thread(call)
