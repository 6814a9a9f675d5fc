# SPDX-License-Identifier: Apache-2.0
"""Samples for the tracker: a crop about a face as a call would have it, with landmarks on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.face.place import MARGIN, Place
from talkcodec.motion.landmarks import LEFT_LID_GAP, LIP_GAP, RIGHT_LID_GAP, opening
from talkcodec.types import CANVAS, F32, F64, U8
from training.augment import CallAugmentation, augment_call
from training.augment.bend import bent
from training.augment.mirror import mirrored_landmarks
from training.augment.turn import turned_further
from training.store import FrameStore


@dataclass(frozen=True, slots=True)
class Jitter:
    """How far a crop may be from where it should be.

    Standard deviations: ``shift`` in sides, ``scale`` in natural logarithms, ``roll`` in radians.
    ``squeeze``: most that the picture is narrowed, as a share; a turned head is a narrow one.
    ``bent``: probability, 0 to 1, of a smooth bend, which makes another person's face of one;
    ``turned``: of a head turned further than it was.
    """

    shift: float = 0.05
    scale: float = 0.09
    roll: float = 0.12
    squeeze: float = 0.25
    bent: float = 0.7
    turned: float = 0.12


@dataclass(frozen=True, slots=True)
class Sample:
    """``crop``: uint8 (S, S, 3); ``landmarks``: float32 (478, 3) in crop widths about the middle;
    ``face``: 1 there is one, 0 there is none, and its landmarks mean nothing.
    """

    crop: U8
    landmarks: F32
    face: float


def sampling_weights(store: FrameStore) -> F64:
    """Return float64 (N,), summing to 1: how often each frame is drawn.

    People count alike up to the square root of their frames, and rare states (closed eyes, open
    mouths, turned heads) count more than the plain faces that fill every clip.
    """
    points = store.landmarks
    lips = opening(points, LIP_GAP)
    lids = np.minimum(opening(points, LEFT_LID_GAP), opening(points, RIGHT_LID_GAP))
    rare = np.ones(len(store))
    rare += 2.0 * (lids < np.quantile(lids, 0.08))
    rare += 1.0 * (lips > np.quantile(lips, 0.85))
    rare += 2.0 * (turn(points) > 0.35)
    _, index, count = np.unique(store.identity, return_inverse=True, return_counts=True)
    weights = np.asarray(rare / np.sqrt(count[index]), np.float64)
    return np.asarray(weights / weights.sum(), np.float64)


def turn(landmarks: F32) -> F64:
    """Return how far heads are turned sideways, (N,): the nose tip's shift in face widths × 2."""
    nose = landmarks[:, 4, 0]
    left, right = landmarks[:, 454, 0], landmarks[:, 234, 0]
    return np.asarray(
        np.abs(2 * nose - left - right) / np.maximum(np.abs(left - right), 1), np.float64
    )


def face_sample(
    store: FrameStore,
    index: int,
    *,
    side: int,
    jitter: Jitter,
    chances: CallAugmentation,
    random: np.random.Generator,
) -> Sample:
    """Cut frame ``index`` at a jittered place, maybe mirrored and narrowed, and spoil it."""
    picture, landmarks = varied(store, index, jitter, random)
    right = Place.around(landmarks)
    # Few crops are far off: those after a detection or a jump.
    wide = 2.5 if random.random() < 0.15 else 1.0
    place = Place(
        right.x + random.normal(0, jitter.shift * wide) * right.side,
        right.y + random.normal(0, jitter.shift * wide) * right.side,
        right.side * float(np.exp(random.normal(0, jitter.scale * wide))),
        right.roll + random.normal(0, jitter.roll * wide),
    )
    border = cv2.BORDER_CONSTANT if random.random() < 0.3 else cv2.BORDER_REPLICATE
    crop = place.crop(picture, side, border)
    target = place.to_crop(landmarks)
    if random.random() < jitter.bent:
        crop, target = bent(crop, target, random)
    other = store.frames[int(random.integers(len(store)))]
    texture = np.asarray(cv2.resize(other, (side, side)), np.uint8)
    pixels = (target[:, :2] + 0.5) * side
    return Sample(augment_call(crop, pixels, texture, chances, random), target, 1.0)


def varied(
    store: FrameStore, index: int, jitter: Jitter, random: np.random.Generator
) -> tuple[U8, F32]:
    """Return frame ``index``, uint8 (256, 256, 3), and its landmarks, float32 (478, 3) in pixels,
    maybe turned further, mirrored and narrowed.
    """
    picture, landmarks = store.frames[index], store.landmarks[index]
    if random.random() < jitter.turned:
        picture, landmarks = turned_further(np.ascontiguousarray(picture), landmarks, random)
    if random.random() < 0.5:
        picture, landmarks = mirrored(picture, landmarks)
    if jitter.squeeze and random.random() < 0.25:
        picture, landmarks = narrowed(picture, landmarks, 1 - random.uniform(0, jitter.squeeze))
    return np.ascontiguousarray(picture), landmarks


def empty_sample(
    store: FrameStore,
    index: int,
    *,
    side: int,
    random: np.random.Generator,
) -> Sample:
    """Cut frame ``index`` where its face is not, or so that the face is hopelessly misplaced."""
    picture, landmarks = store.frames[index], store.landmarks[index]
    right = Place.around(landmarks)
    middle = np.zeros(2)
    size = right.side
    for _ in range(20):
        size = right.side * float(np.exp(random.uniform(-1.6, 0.9)))
        middle = random.uniform(0, CANVAS, 2)
        off = np.abs(middle - (right.x, right.y)).max()
        # Far enough aside, or a detail of the face, or the face a small part of the crop.
        if off > 0.55 * (right.side / MARGIN + size) or size < 0.35 * right.side:
            break
        if size > 2.2 * right.side:
            break
    else:
        middle = np.array([right.x + right.side, right.y])
    place = Place(float(middle[0]), float(middle[1]), size, random.normal(0, 0.5))
    border = cv2.BORDER_CONSTANT if random.random() < 0.3 else cv2.BORDER_REPLICATE
    crop = place.crop(np.ascontiguousarray(picture), side, border)
    target = np.zeros_like(landmarks)
    pixels = np.full((len(landmarks), 2), side / 2, np.float32)
    plain = CallAugmentation(glasses=0, glare=0, occluder=0, occluded_mouth=0)
    return Sample(augment_call(crop, pixels, crop, plain, random), target, 0.0)


def mirrored(picture: U8, landmarks: F32) -> tuple[U8, F32]:
    """Return both with left and right exchanged."""
    out = landmarks[mirrored_landmarks()].copy()
    out[:, 0] = picture.shape[1] - out[:, 0]
    return picture[:, ::-1], out


def narrowed(picture: U8, landmarks: F32, share: float) -> tuple[U8, F32]:
    """Return both ``share`` times as wide, inside a picture of the same size."""
    height, width = picture.shape[:2]
    # Our pixel centres lie at .5, OpenCV's at whole numbers.
    matrix = np.array([[share, 0, (1 - share) * width / 2 + (share - 1) / 2], [0, 1, 0]])
    out = landmarks.copy()
    out[:, 0] = landmarks[:, 0] * share + (1 - share) * width / 2
    squeezed = cv2.warpAffine(
        np.ascontiguousarray(picture), matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(squeezed, np.uint8), out
