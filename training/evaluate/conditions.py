# SPDX-License-Identifier: Apache-2.0
"""Clips as bad calls show them. Nothing moves: what the teacher saw in the clean clip holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import av
import cv2
import numpy as np

from talkcodec.types import F32, U8
from training.augment import damage, occlude
from training.evaluate.material import Material

Spoil = Callable[[Material], list[U8]]


def clean(material: Material) -> list[U8]:
    """Leave the clip as it is."""
    return material.frames


def low_light(material: Material) -> list[U8]:
    """An eighth of the light, with the noise of few photons, the gain left alone."""
    random = np.random.default_rng(1)
    out = []
    for frame in material.frames:
        dark = frame.astype(np.float32) / 8
        grain = random.standard_normal(frame.shape, np.float32) * np.sqrt(dark + 1) * 0.6
        out.append(np.clip(dark + grain, 0, 255).astype(np.uint8))
    return out


def noise(material: Material) -> list[U8]:
    """Gaussian noise of 15 grey levels, another in every frame."""
    random = np.random.default_rng(2)
    return [
        np.clip(f + random.standard_normal(f.shape, np.float32) * 15, 0, 255).astype(np.uint8)
        for f in material.frames
    ]


def h264(material: Material) -> list[U8]:
    """x264, medium, zerolatency, at 40 kbit/s and 256²."""
    frames = [
        _even(np.asarray(cv2.resize(f, _size(f, 256), interpolation=cv2.INTER_AREA), np.uint8))
        for f in material.frames
    ]
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 1) / material.rate, material.rate
    encoder.bit_rate = 40_000
    encoder.thread_count = 1
    encoder.options = {
        "preset": "medium",
        "tune": "zerolatency",
        "maxrate": "40k",
        "bufsize": "40k",
    }
    coded = damage.through(encoder, frames)
    large = (material.frames[0].shape[1], material.frames[0].shape[0])
    return [np.asarray(cv2.resize(f, large), np.uint8) for f in coded]


def glasses(material: Material) -> list[U8]:
    """A drawn frame before the eyes, moving with them, and a reflection in it."""

    def wear(frame: U8, points: F32) -> U8:
        worn = occlude.glasses(frame, points, np.random.default_rng(3))
        return occlude.glare(worn, points, np.random.default_rng(4))

    return _with_landmarks(material, wear)


def occluded_mouth(material: Material) -> list[U8]:
    """Something held before the mouth."""

    def hold(frame: U8, points: F32) -> U8:
        random = np.random.default_rng(5)
        return occlude.occluder(
            frame, np.ascontiguousarray(frame[::-1]), points, random, mouth=True
        )

    return _with_landmarks(material, hold)


def blinds(material: Material) -> list[U8]:
    """Shadows of blinds across the picture: a light that no training picture was under."""
    out = []
    for frame in material.frames:
        height, width = frame.shape[:2]
        y, x = np.mgrid[:height, :width].astype(np.float32) / min(height, width)
        shade = np.where(np.sin(2 * np.pi * (9 * y + 2 * x)) > 0, 1.0, 0.35)
        out.append((frame * shade[..., None]).astype(np.uint8))
    return out


def lost_blocks(material: Material) -> list[U8]:
    """A tenth of all blocks of 16² left grey, others in every frame, as after lost packets."""
    random = np.random.default_rng(6)
    out = []
    for frame in material.frames:
        height, width = frame.shape[:2]
        lost = random.random((-(-height // 16), -(-width // 16))) < 0.1
        mask = np.kron(lost, np.ones((16, 16), bool))[:height, :width]
        out.append(np.where(mask[..., None], np.uint8(128), frame))
    return out


#: The last two are of kinds that our networks were not trained on; the others are like what
#: training.augment does, with other strengths and seeds.
CONDITIONS: Mapping[str, Spoil] = {
    "clean": clean,
    "low light": low_light,
    "noise": noise,
    "H.264, 40 kbit/s": h264,
    "glasses": glasses,
    "occluded mouth": occluded_mouth,
    "shadows of blinds (unseen)": blinds,
    "lost blocks (unseen)": lost_blocks,
}


def two_faces(one: Material, other: Material) -> Material:
    """Return ``one`` with ``other`` beside it on the right, both 256² or cut to it."""
    count = min(len(one.frames), len(other.frames))
    frames = [np.hstack([_square(one.frames[i]), _square(other.frames[i])]) for i in range(count)]
    side = min(one.frames[0].shape[:2])
    height, width = one.frames[0].shape[:2]
    corner = np.array([(width - side) // 2, (height - side) // 2, 0], np.float32)
    teacher = (one.teacher[:count] - corner) * np.float32(256 / side)
    name = f"{one.name} + {other.name}"
    return Material(name, one.identity, frames, one.rate, teacher, one.found[:count])


def _with_landmarks(material: Material, change: Callable[[U8, F32], U8]) -> list[U8]:
    return [
        change(frame, points[:, :2]) if seen else frame
        for frame, points, seen in zip(
            material.frames, material.teacher, material.found, strict=True
        )
    ]


def _square(picture: U8) -> U8:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


def _size(picture: U8, side: int) -> tuple[int, int]:
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    return round(width * scale), round(height * scale)


def _even(picture: U8) -> U8:
    return np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
