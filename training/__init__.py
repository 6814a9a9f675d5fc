# SPDX-License-Identifier: Apache-2.0
"""From a folder of clips to the data that ships in ``talkcodec/weights``."""

import os

# Before NumPy is loaded: a threaded BLAS beside another busy process is many times slower
# than a single thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
