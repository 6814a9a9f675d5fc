# SPDX-License-Identifier: Apache-2.0
"""Temporal smoothing that stills the tracker's noise and lets blinks and lips through.

The One-Euro filter (Casiez, Roussel & Vogel, CHI 2012): a first-order low pass whose cutoff
rises with speed. States are measured in quantiser steps here, so one pair of parameters fits
all components: below about a step a frame a change is noise, above it is motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcodec.types import F64


@dataclass(frozen=True, slots=True)
class SmoothingConfig:
    """``rest_cutoff``: Hz while still; ``speed_gain``: Hz gained per step/s of speed;
    ``speed_cutoff``: Hz of the low pass on the speed itself.
    """

    rest_cutoff: float = 2.0
    speed_gain: float = 0.4
    speed_cutoff: float = 8.0


class OneEuroFilter:
    """Smooths vectors sampled at any rate."""

    def __init__(self, config: SmoothingConfig | None = None) -> None:
        self._config = config or SmoothingConfig()
        self._value: F64 | None = None
        self._raw: F64 | None = None
        self._speed: F64 | None = None

    def reset(self) -> None:
        """Forget the past: the next sample passes unchanged."""
        self._value = self._raw = self._speed = None

    def __call__(self, sample: F64, interval: float) -> F64:
        """Return the smoothed ``sample`` (D,), ``interval`` seconds after the last one."""
        if self._value is None or self._raw is None or self._speed is None or interval <= 0:
            self._value, self._raw, self._speed = sample, sample, np.zeros_like(sample)
            return sample
        speed = (sample - self._raw) / interval
        self._speed = self._speed + _gain(self._config.speed_cutoff, interval) * (
            speed - self._speed
        )
        # The raw speed joins in so that the first frame of a blink is already let through.
        fastest = np.maximum(np.abs(self._speed), 0.7 * np.abs(speed))
        cutoff = self._config.rest_cutoff + self._config.speed_gain * fastest
        self._raw = sample
        self._value = self._value + _gain(cutoff, interval) * (sample - self._value)
        return self._value


def _gain(cutoff: F64 | float, interval: float) -> F64:
    """Return the weight of a new sample for a first-order low pass at ``cutoff`` Hz."""
    ratio = 2 * np.pi * np.asarray(cutoff, np.float64) * interval
    return np.asarray(ratio / (ratio + 1), np.float64)
