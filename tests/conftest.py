# SPDX-License-Identifier: Apache-2.0
"""What every test runs under: one thread a library, as on a machine that does other things too."""

from __future__ import annotations

import os

# Before NumPy is imported: a spinning pool of BLAS threads makes a busy machine tens of times
# slower, and tests would time out for no fault of theirs.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
