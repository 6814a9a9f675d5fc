# SPDX-License-Identifier: Apache-2.0
"""A program that sends or receives has no pools of threads that wait by spinning."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, json
import numpy  # before talkcodec, as in any program
import cv2
from threadpoolctl import threadpool_info
from {package} import {name}

async def main():
    {name}({arguments})

asyncio.run(main())
pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
print(json.dumps([pools, cv2.getNumThreads()]))
"""


def test_each_half_of_a_call_keeps_libraries_to_one_thread() -> None:
    for package, name, arguments in (("sender", "Sender", ""), ("receiver", "Receiver", "print")):
        program = PROGRAM.format(package=package, name=name, arguments=arguments)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parent.parent,
            env={"PATH": "/usr/bin", "OPENBLAS_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=True,
        )
        pools, opencv = json.loads(done.stdout)
        assert pools
        assert set(pools) == {1}
        assert opencv == 1
