# SPDX-License-Identifier: Apache-2.0
"""Which augmentation meets a sample, how often, and in which order light reaches the codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from talkcodec.types import F32, U8
from training.augment import damage, light, occlude


@dataclass(frozen=True, slots=True)
class CallAugmentation:
    """Probabilities, 0 to 1, of each effect on a sample."""

    exposure: float = 0.7
    low_light: float = 0.08
    side_light: float = 0.1
    shadow: float = 0.1
    grey: float = 0.05
    blur: float = 0.1
    motion_blur: float = 0.08
    noise: float = 0.15
    low_resolution: float = 0.1
    h264: float = 0.08
    vp8: float = 0.12
    occluder: float = 0.12
    occluded_mouth: float = 0.04
    glasses: float = 0.08
    glare: float = 0.06

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} in 0 to 1, found {getattr(self, name)}")


def augment_call(
    picture: U8, points: F32, other: U8, chances: CallAugmentation, random: np.random.Generator
) -> U8:
    """Return ``picture`` as a bad call would show it.

    ``picture``, ``other``: uint8 (S, S, 3) with S even; ``other`` textures occluders. ``points``:
    float32 (478, 2), landmarks in pixels of ``picture``. Nothing moves: the labels stay true.
    """
    effects: Mapping[str, Callable[[U8], U8]] = {
        # Before the lens: what is worn or held, and the light.
        "glasses": lambda p: occlude.glasses(p, points, random),
        "glare": lambda p: occlude.glare(p, points, random),
        "occluder": lambda p: occlude.occluder(p, other, points, random),
        "occluded_mouth": lambda p: occlude.occluder(p, other, points, random, mouth=True),
        "side_light": lambda p: light.side_light(p, random),
        "shadow": lambda p: light.shadow(p, random),
        # In the camera.
        "blur": lambda p: damage.blur(p, random),
        "motion_blur": lambda p: damage.motion_blur(p, random),
        "low_light": lambda p: light.low_light(p, random),
        "exposure": lambda p: light.exposure(p, random),
        "noise": lambda p: damage.noise(p, random),
        "grey": light.grey,
        # After it.
        "low_resolution": lambda p: damage.low_resolution(p, random),
        "h264": lambda p: damage.h264(p, random),
        "vp8": lambda p: damage.vp8(p, random),
    }
    for name, effect in effects.items():
        if random.random() < getattr(chances, name):
            picture = effect(picture)
    return picture
