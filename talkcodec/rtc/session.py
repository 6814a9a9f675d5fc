# SPDX-License-Identifier: Apache-2.0
"""The protocol of a call without I/O."""

from __future__ import annotations

from enum import Enum
class Channel(Enum):
    MOTION = 1
    REFERENCE = 2
    CONTROL = 3
