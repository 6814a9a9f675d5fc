# SPDX-License-Identifier: Apache-2.0
"""A portrait that moves as a camera in a hand does, so that no part of it stands still."""

from __future__ import annotations

from functools import cache
from math import sin

import numpy as np

from talkcodec.media.sources import builtin_source
from talkcodec.types import U8


@cache
def portrait(seconds: float) -> list[U8]:
    """Return ``seconds`` of it at 25 pictures a second, uint8 (256, 256, 3) RGB."""
    drawn = [frame.picture for frame in builtin_source(min(seconds, 2.0))]
    period = 2 * len(drawn) - 2
    pictures = []
    for tick in range(round(25 * seconds)):
        place = tick % period
        shift = round(8 * sin(tick / 9)), round(6 * sin(tick / 5))
        picture = drawn[min(place, period - place)]
        pictures.append(np.ascontiguousarray(np.roll(picture, shift, (0, 1))))
    return pictures
