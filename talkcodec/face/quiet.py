# SPDX-License-Identifier: Apache-2.0
"""Keep native libraries from chatting on standard error.

MediaPipe's C++ side logs to file descriptor 2 whatever the environment says, from threads of its
own. Its lines are dropped while a network loads; everything else is passed on.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

#: Lines of absl and TensorFlow Lite: a severity letter with month and day, or these two openings.
_CHATTER = re.compile(
    rb"^([WI]\d{4} |INFO: Created TensorFlow Lite|WARNING: All log messages before absl)"
)
_LIMIT = 1 << 20


@contextmanager
def unimportable(name: str) -> Iterator[None]:
    """In the body, let ``import name`` fail as if it were not installed, unless it is imported.

    MediaPipe imports sounddevice where it finds it, whose native side looks for sound servers.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def quiet_native_log() -> Iterator[None]:
    """Drop native log lines written to file descriptor 2 in the body; pass on all others."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            held.seek(0)
            for line in held.read(_LIMIT).splitlines(keepends=True):
                if not _CHATTER.match(line):
                    os.write(original, line)
            os.close(original)
