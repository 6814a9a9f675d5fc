# SPDX-License-Identifier: Apache-2.0
"""Undo what SVT-AV1 does to the process that opens it.

Run by root, as in most containers, SVT-AV1 moves its workers *and the calling thread* to the
real-time class at the highest priority. Whatever runs beside it starves: measured on two cores,
other processes got 3 % of one. A picture every few seconds needs no priority at all.

A host application may have real-time threads of its own, for its sound say: those keep theirs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Leave no thread in the real-time class because of what runs inside.

    Afterwards the calling thread has the class and the priority that it had before, and threads
    born inside are ordinary ones. Threads that existed before are not touched. SVT-AV1 starts
    threads when it is opened and again at its first picture: put both inside, and nothing that
    takes long, since a real-time thread that somebody else starts meanwhile is taken for one of
    its own. Does nothing outside Linux.
    """
    if sys.platform != "linux":
        yield
        return
    before = _threads()
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        now = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
        if now != (policy, parameters.sched_priority):
            # Refused only for classes that this call cannot express (deadlines).
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, policy, parameters)
        for thread in _threads() - before:
            # A thread may end between the listing and the call.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if _is_real_time(os.sched_getscheduler(thread)):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _threads() -> set[int]:
    """Return the ids of this process's threads."""
    return {int(entry.name) for entry in Path("/proc/self/task").iterdir()}


def _is_real_time(policy: int) -> bool:
    # The kernel may report the class together with this flag.
    return policy & ~os.SCHED_RESET_ON_FORK in (os.SCHED_FIFO, os.SCHED_RR)
