# SPDX-License-Identifier: Apache-2.0
"""Left and right exchanged: which landmark becomes which."""

from __future__ import annotations

from functools import cache

import numpy as np

from talkcodec.types import I32
from talkcodec.weights import shape_model


@cache
def mirrored_landmarks() -> I32:
    """Return int32 (478,): landmark i of a mirrored face is landmark ``out[i]`` of the face.

    The mean face is nearly symmetric: each point's partner is the nearest to its mirror image.
    """
    mean = shape_model().mean
    centre = mean[[33, 263], 0].mean()
    flipped = (mean - (centre, 0, 0)) * (-1, 1, 1)
    straight = mean - (centre, 0, 0)
    distance = np.linalg.norm(flipped[:, None] - straight[None], axis=2)
    # Irises lie in front of lids: partners are looked for among their own kind only.
    distance[:468, 468:] = distance[468:, :468] = np.inf
    return np.asarray(distance.argmin(1), np.int32)
