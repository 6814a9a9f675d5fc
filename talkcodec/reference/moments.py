# SPDX-License-Identifier: Apache-2.0
"""Which moments of a face make good references."""

from __future__ import annotations

import numpy as np

from talkcodec.render.patches import eye_gap, mouth_gap
from talkcodec.types import F64

#: Distance between the lids, in inter-ocular distances, of eyes that are clearly open.
OPEN_EYES = 0.13
#: Share of its usual opening below which an eye is shut, and how much of that is kept a frame.
_SHUT, _KEPT = 0.55, 0.995


def eyes_open(shape: F64) -> bool:
    """Return whether the eyes of a canonical shape (478, 3) are clearly open."""
    return eye_gap(shape) > OPEN_EYES


def first_quality(shape: F64, state: F64) -> float:
    """Rank first references: open eyes, then a slightly open mouth, near the front.

    ``shape``: canonical (478, 3); ``state``: (D,), of the same moment.
    """
    eyes = min(eye_gap(shape) / OPEN_EYES, 1.0)
    mouth = min(mouth_gap(shape) / 0.08, 1.0)
    return 2 * eyes + 0.5 * mouth - 0.5 * float(np.linalg.norm(state[:2]))


class Blinks:
    """Tells shut eyes from open ones by a face's own measure."""

    def __init__(self) -> None:
        self._usual = 0.0

    def shut(self, shape: F64) -> bool:
        """Return whether the eyes of a canonical shape (478, 3) are shut just now."""
        opening = eye_gap(shape)
        self._usual = max(opening, self._usual * _KEPT)
        return opening < _SHUT * self._usual
