# SPDX-License-Identifier: Apache-2.0
"""Illumination and colour: low light, side light, white balance, grey."""

from __future__ import annotations

import numpy as np

from talkcodec.types import F32, U8

Random = np.random.Generator


def exposure(picture: U8, random: Random) -> U8:
    """Change brightness, contrast, gamma and white balance as cameras do."""
    gamma = np.exp(random.normal(0, 0.25))
    gain = np.exp(random.normal(0, 0.15))
    offset = random.normal(0, 0.05)
    ramp = np.linspace(0, 1, 256) ** gamma * gain + offset
    balance = np.exp(random.normal(0, 0.08, 3))
    table = np.clip(ramp[:, None] * balance, 0, 1) * 255
    return _look_up(picture, table)


def low_light(picture: U8, random: Random) -> U8:
    """Darken to 5–35 % and, half the time, let the camera's gain lift noise and all."""
    dark = picture.astype(np.float32) * random.uniform(0.05, 0.35)
    # Photons are few: noise grows as the square root of the light.
    noise = random.standard_normal(picture.shape, np.float32)
    dark += noise * np.sqrt(dark + 1) * random.uniform(0.3, 1.0)
    if random.random() < 0.5:
        dark *= random.uniform(1.5, 4)
    return np.asarray(np.clip(dark, 0, 255).astype(np.uint8), np.uint8)


def side_light(picture: U8, random: Random) -> U8:
    """Light from one side: a smooth ramp across the picture, bright over dark."""
    height, width = picture.shape[:2]
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    ramp = 1 / (1 + np.exp(-random.uniform(2, 8) * (np.cos(angle) * x + np.sin(angle) * y)))
    low, high = random.uniform(0.15, 0.7), random.uniform(1.0, 1.6)
    shade: F32 = (low + (high - low) * ramp).astype(np.float32)
    return np.asarray(np.clip(picture * shade[..., None], 0, 255).astype(np.uint8), np.uint8)


def shadow(picture: U8, random: Random) -> U8:
    """Shadows with edges, of a window frame or a lamp: one to six bands, half light to darkness."""
    height, width = picture.shape[:2]
    angle, phase = random.uniform(0, 2 * np.pi, 2)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    waves = np.exp(random.uniform(np.log(0.4), np.log(3)))
    across = np.sin(2 * np.pi * waves * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    lit = 1 / (1 + np.exp(-across * np.exp(random.uniform(0.7, 4))))
    low = random.uniform(0.2, 0.7)
    shaded = np.clip(picture * (low + (1 - low) * lit)[..., None], 0, 255)
    return np.asarray(shaded.astype(np.uint8), np.uint8)


def grey(picture: U8) -> U8:
    """Take the colour away."""
    light = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat(light[..., None], 3, 2).astype(np.uint8)


def _look_up(picture: U8, table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> U8:
    out = np.empty_like(picture)
    for channel in range(3):
        out[..., channel] = table[:, channel].astype(np.uint8)[picture[..., channel]]
    return out
