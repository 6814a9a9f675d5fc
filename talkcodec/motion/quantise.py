# SPDX-License-Identifier: Apache-2.0
"""States to integers and back. Beyond ``quantise`` everything is integer arithmetic."""

from __future__ import annotations

import numpy as np

from talkcodec.types import F64, I32

#: A component stays where it is predicted until it is further off than this many steps.
#: Half a step would be rounding; the rest is a dead zone that costs little and saves symbols.
DEAD_ZONE = 0.62


def quantise(steps_value: F64, predicted: I32) -> I32:
    """Round ``steps_value`` (D,), in steps, with a dead zone around ``predicted`` (D,)."""
    offset = steps_value - predicted
    rounded = np.rint(steps_value)
    return np.asarray(np.where(np.abs(offset) < DEAD_ZONE, predicted, rounded), np.int32)


def quantise_group(steps_values: F64, predicted: I32) -> I32:
    """Quantise frames (g, D) in order: first around ``predicted`` (D,), each around the last."""
    rows = []
    for value in steps_values:
        predicted = quantise(value, predicted)
        rows.append(predicted)
    return np.stack(rows)
