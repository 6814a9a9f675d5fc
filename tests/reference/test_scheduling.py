# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from talkcodec.reference.av1 import Av1PictureEncoder


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists threads with their class")
def test_no_thread_stays_in_the_real_time_class() -> None:
    picture = np.full((256, 256, 3), 90, np.uint8)
    Av1PictureEncoder(256).encode(picture, key=True)
    classes = {os.sched_getscheduler(int(t.name)) for t in Path("/proc/self/task").iterdir()}
    assert classes == {os.SCHED_OTHER}
