# SPDX-License-Identifier: Apache-2.0
"""A frame store small enough for tests: the built-in portrait, moved about."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from talkcodec.face.place import Place
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.types import CANVAS, F32, U8
from training.prepare.labels import MASK_SIDE
from training.store import FrameStore, StoreWriter
from training.tasks.faces import narrowed


def moved(index: int) -> tuple[U8, F32]:
    """Return the portrait and its landmarks, turned, shifted, scaled and, every other one, narrowed
    as ``index`` says.
    """
    random = np.random.default_rng(index)
    x, y = (128 + random.normal(0, 8, 2)).tolist()
    place = Place(x, y, CANVAS * float(random.uniform(0.9, 1.5)), float(random.normal(0, 0.15)))
    marks = place.to_crop(Track.load().portrait) * np.float32(CANVAS)
    marks[:, :2] += CANVAS / 2
    picture = place.crop(portrait_picture(), CANVAS)
    return narrowed(picture, marks, 0.75 + 0.02 * index) if index % 2 else (picture, marks)


def person(marks: F32) -> U8:
    """Return a mask of who has those landmarks: a head on shoulders."""
    mask = np.zeros((CANVAS, CANVAS), np.uint8)
    hull = cv2.convexHull(marks[:, :2].astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 255)
    x, y, width, height = cv2.boundingRect(hull)
    cv2.rectangle(mask, (x - width // 2, y + height), (x + width * 3 // 2, CANVAS), 255, -1)
    small = cv2.resize(mask, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def make_store(folder: Path, frames: int = 8, licence: str = "MIT") -> FrameStore:
    """Write a store of two people with ``frames`` frames in two clips, and open it.

    Clips are named after ``folder``: stores of different names share none.
    """
    writer = StoreWriter(folder, frames, masked=True)
    first = frames // 2
    for identity, indices in enumerate((range(first), range(first, frames))):
        shown = [moved(index) for index in indices]
        marks = np.stack([marks for _, marks in shown])
        about = {"name": f"{folder.name}{identity}", "licence": licence, "rate": "25"}
        masks = np.stack([person(one) for one in marks])
        writer.add([picture for picture, _ in shown], marks, identity, about, masks)
    writer.close()
    return FrameStore.open(folder)
