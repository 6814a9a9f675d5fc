# SPDX-License-Identifier: Apache-2.0
"""Undo what SVT-AV1 does to the process that opens it.

Run by root, as in most containers, SVT-AV1 moves its workers *and the calling thread* to the
real-time class at the highest priority. Whatever runs beside it starves: measured on two cores,
other processes got 3 % of one. A picture every few seconds needs no priority at all.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def share_the_processor() -> None:
    """Put every real-time thread of this process back into the ordinary class."""
    if sys.platform != "linux":
        return
    for entry in Path("/proc/self/task").iterdir():
        thread = int(entry.name)
        # A thread may end between the listing and the call.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
