# SPDX-License-Identifier: Apache-2.0
"""What libraries keep for each thread, and a live call with its dozen threads does not want."""

from __future__ import annotations

import ctypes
import platform

#: ``M_ARENA_MAX`` of glibc's ``malloc.h``, and how many heaps all threads share.
_ARENA_MAX, _ARENAS = -8, 2


def keep_to_one_thread() -> None:
    """Let NumPy's BLAS and OpenCV work on the threads that call them, in this whole process.

    Matrices and pictures here are small: a second thread of OpenBLAS gains nothing and waits by
    spinning. On two cores that took a two-way call from 23 to 17 pictures a second. A program
    that wants its pools back sets them again afterwards. Takes some milliseconds.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1, user_api="blas")


def share_heaps() -> None:
    """Let all threads to come allocate from few heaps, where the C library is glibc.

    It gives each thread its own, and none gives back what another could use: a call of seven
    minutes that changed between modes and connections grew from 421 to 609 MB, of which 200 were
    in use throughout. With two heaps it stays at 450.
    """
    if _is_glibc():
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give free memory back to the system, where the C library is glibc.

    It does so by itself only at the end of a heap; what codecs and connections leave free lies in
    between. A call that had changed mode and connection sixty times held 196 MB, as after the first
    such change, and 76 more that were free, after which the system was asked for still more.
    Takes a few milliseconds, in which threads that allocate wait.
    """
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
