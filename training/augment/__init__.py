# SPDX-License-Identifier: Apache-2.0
"""What calls do to pictures of faces, so that networks meet it in training.

``call`` puts them together: ``light`` changes illumination and colour, ``damage`` blurs, adds noise
and compresses, ``occlude`` puts things before the face. Landmarks move too under ``mirror``, which
exchanges left and right, and ``bend``, which makes another person's face of one. Every function
takes its own random generator: a batch depends on its seed alone.
"""

from __future__ import annotations

from training.augment.call import CallAugmentation, augment_call

__all__ = ["CallAugmentation", "augment_call"]
