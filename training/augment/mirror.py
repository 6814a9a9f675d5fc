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

    Each point's partner is the nearest to its mirror image, after an affine map has laid the
    mirrored mean face onto the mean face: that one looks a degree aside, which is as much as the
    points at the corners of eyes and mouth are apart.
    """
    face = shape_model().mean
    mirror = np.column_stack([face * (-1, 1, 1), np.ones(len(face))])
    laid = mirror[:, :3]
    for _ in range(3):  # the first round errs in 38 points, the second in none
        distance = np.linalg.norm(laid[:, None] - face[None], axis=2)
        # Irises lie in front of lids: partners are looked for among their own kind only.
        distance[:468, 468:] = distance[468:, :468] = np.inf
        partner = distance.argmin(1)
        laid = mirror @ np.linalg.lstsq(mirror, face[partner], rcond=None)[0]
    return np.asarray(partner, np.int32)
