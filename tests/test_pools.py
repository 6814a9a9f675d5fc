# SPDX-License-Identifier: Apache-2.0
"""A program that sends or receives has no pools of threads that wait by spinning."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, ctypes, json, sys, threading
import numpy  # before talkcodec, as in any program
import cv2
from threadpoolctl import threadpool_info
from {package} import {name}

kept = []

async def main():
    {name}({arguments})

asyncio.run(main())
barrier = threading.Barrier(9)

def keep():
    kept.append(bytes(100_000))
    barrier.wait()

for _ in range(8):
    threading.Thread(target=keep).start()
barrier.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
out = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fclose(ctypes.c_void_p(out))
pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
print(json.dumps([pools, cv2.getNumThreads()]))
"""


FRAGMENTS = """
import json
from pathlib import Path
from talkcodec.pools import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

blocks = [bytes(60_000) for _ in range(2000)]
kept = blocks[::20]
blocks.clear()
before = resident()
give_back()
print(json.dumps([before, resident()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have one heap")
def test_each_half_of_a_call_keeps_libraries_to_one_thread_and_few_heaps(tmp_path: Path) -> None:
    heaps = tmp_path / "heaps.xml"
    for package, name, arguments in (("sender", "Sender", ""), ("receiver", "Receiver", "print")):
        program = PROGRAM.format(package=package, name=name, arguments=arguments)
        done = subprocess.run(
            [sys.executable, "-c", program, heaps],
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
        assert 1 <= heaps.read_text().count("<heap nr=") <= 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have other heaps")
def test_what_is_free_between_what_is_used_can_be_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTS],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = json.loads(done.stdout)
    assert before - after > 80e6  # 114 of the 120 MB are free
