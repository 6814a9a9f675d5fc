# SPDX-License-Identifier: Apache-2.0
"""The thread pools of libraries, which a live call has no use for."""

from __future__ import annotations


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
