# SPDX-License-Identifier: Apache-2.0
"""Mouth and eyes looked at closely: a small U-Net on an upright crop of each.

They are a twentieth of a picture and most of what a listener looks at. The painter gives them no
more work than the wall behind; each of these networks has as much for its part as the painter has
for the whole picture.
"""

from __future__ import annotations

from talkcodec.models.unet import CellsUNet

#: Planes given: the part as drawn so far (3), two outlines that it should have (2), the part in the
#: reference that tells most of it (3), its outline there (1).
PLANES = 9
#: Width and height of the crops, pixels.
MOUTH_SIZE, EYES_SIZE = (80, 80), (128, 48)


class CloseupNet(CellsUNet):
    """``forward``: cells (B, 36, h, w) of planes in 0–255 → (B, 12, h, w) to add, 8-bit steps.

    ``talkcodec.render.closeup`` makes the planes.
    """

    planes, given = PLANES, "part"

    def __init__(self, *, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__(widths=widths)


class MouthNet(CloseupNet):
    """Lips, teeth, and what is between them."""

    size = MOUTH_SIZE


class EyesNet(CloseupNet):
    """Both eyes, lids and brows' lower edges."""

    size = EYES_SIZE
