# SPDX-License-Identifier: Apache-2.0
"""Which of the 478 dense landmarks lie on which part of the face (MediaPipe face mesh topology)."""

from __future__ import annotations

import numpy as np

from talkcodec.types import F32, F64

# Contours run around the feature, so that each list is a polygon. "Left" and "right" are the
# subject's own; in an unmirrored picture the subject's right eye is on the left.
LIPS_OUTER = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
LIPS_INNER = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324,
    308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

LIPS = LIPS_OUTER + LIPS_INNER
EYELIDS = LEFT_EYE + RIGHT_EYE
BROWS = LEFT_BROW + RIGHT_BROW
IRISES = RIGHT_IRIS + LEFT_IRIS

# Opposite points whose distance is an opening: (upper, lower).
LIP_GAP = (13, 14)
LEFT_LID_GAP = (386, 374)
RIGHT_LID_GAP = (159, 145)


def inter_ocular(landmarks: F32 | F64) -> F64:
    """Return the distance between the iris centres in the picture plane.

    ``landmarks``: float (..., 478, 2 or 3). Returns float64 (...), in the landmarks' unit.
    """
    gap = landmarks[..., RIGHT_IRIS[0], :2] - landmarks[..., LEFT_IRIS[0], :2]
    return np.asarray(np.linalg.norm(gap, axis=-1), dtype=np.float64)


def opening(landmarks: F32 | F64, gap: tuple[int, int]) -> F64:
    """Return the distance of an upper and a lower point, as a share of the inter-ocular one."""
    distance = np.linalg.norm(landmarks[..., gap[0], :2] - landmarks[..., gap[1], :2], axis=-1)
    return np.asarray(distance / np.maximum(inter_ocular(landmarks), 1e-6), dtype=np.float64)
