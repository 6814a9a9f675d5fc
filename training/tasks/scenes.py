# SPDX-License-Identifier: Apache-2.0
"""Pictures for the detector: none, one or several faces of any size on any background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.face.place import Place
from talkcodec.types import CANVAS, F32, U8
from training.augment import CallAugmentation, augment_call
from training.store import FrameStore
from training.tasks.faces import mirrored, narrowed

#: A face is looked for from this share of the picture's side on; its place is the square of
#: ``Place``, a third wider than the face.
LEAST = 0.14

# A face that is hidden by more than this counts neither as one nor as none.
_HIDDEN = 0.35


@dataclass(frozen=True, slots=True)
class ScenePicture:
    """``picture``: uint8 (S, S, 3). ``places``: faces to be found, in pixels. ``vague``: places
    where the answer does not matter.
    """

    picture: U8
    places: list[Place]
    vague: list[Place]


def scene(
    store: FrameStore,
    draw: int,
    *,
    side: int,
    empty: float,
    random: np.random.Generator,
) -> ScenePicture:
    """Make a picture about frame ``draw``: as the camera sees it, or pasted small on another.

    ``empty``: share of pictures without any face.
    """
    kind = random.random()
    if kind < empty:
        picture = backdrop(store, side, random)
        return ScenePicture(_spoil(picture, random), [], [])
    if kind < empty + 0.6 * (1 - empty):
        shown = _camera(store, draw, side, random)
    else:
        shown = _collage(store, draw, side, random)
    return ScenePicture(_spoil(shown.picture, random), shown.places, shown.vague)


def _camera(store: FrameStore, draw: int, side: int, random: np.random.Generator) -> ScenePicture:
    """A frame, zoomed and shifted: the face where people have it, sometimes half outside."""
    picture, marks = _frame(store, draw, random)
    zoom = side / CANVAS * float(np.exp(random.normal(0.0, 0.3)))
    turn = random.normal(0, 0.12) if random.random() < 0.7 else random.normal(0, 0.35)
    c, s = np.cos(turn) * zoom, np.sin(turn) * zoom
    middle = np.array([side / 2, side / 2]) + random.normal(0, 0.12, 2) * side
    linear = np.array([[c, -s], [s, c]])
    matrix = np.column_stack([linear, middle - linear @ (CANVAS / 2, CANVAS / 2)])
    border = cv2.BORDER_CONSTANT if random.random() < 0.4 else cv2.BORDER_REPLICATE
    grey = [float(random.integers(0, 256))] * 3
    canvas = _warp(picture, matrix, side, border, grey)
    place = Place.around(_moved(marks, matrix))
    return _sorted(canvas, [place], side)


def _collage(store: FrameStore, draw: int, side: int, random: np.random.Generator) -> ScenePicture:
    """Frames pasted on a backdrop: small faces, two or three people."""
    canvas = backdrop(store, side, random)
    places: list[Place] = []
    indices = [draw, *random.integers(0, len(store), int(random.integers(0, 3)))]
    for index in indices:
        picture, marks = _frame(store, int(index), random)
        size = side * random.uniform(0.25, 0.75)
        zoom = size / CANVAS
        corner = random.uniform(-0.1 * side, side - 0.9 * size, 2)
        matrix = np.array([[zoom, 0, corner[0]], [0, zoom, corner[1]]])
        place = Place.around(_moved(marks, matrix))
        if any(_overlap(place, other) > 0 for other in places):
            continue
        # What a pasted frame hides is hidden: its rectangle must not cut another face.
        if any(_touches(other, corner, size) for other in places):
            continue
        if zoom < 0.5:
            small = max(int(CANVAS * zoom), 8)
            picture = np.asarray(cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA))
            matrix[:, :2] = np.eye(2) * (size / small)
        mask = _warp(np.full_like(picture, 255), matrix, side, cv2.BORDER_CONSTANT, [0.0] * 3)
        pasted = _warp(picture, matrix, side, cv2.BORDER_REPLICATE, [0.0] * 3)
        soft = cv2.GaussianBlur(mask, (0, 0), random.uniform(0.3, 2.0)).astype(np.float32) / 255
        canvas = (canvas + (pasted.astype(np.float32) - canvas) * soft).astype(np.uint8)
        places.append(place)
    return _sorted(canvas, places, side)


def backdrop(store: FrameStore, side: int, random: np.random.Generator) -> U8:
    """Return a picture without a face, uint8 (S, S, 3): rooms, clothes and hair from around faces,
    details too large to be a face, and drawn patterns.
    """
    kind = random.random()
    if kind < 0.25:
        picture = _pattern(side, random)
    elif kind < 0.35:
        picture = np.full((side, side, 3), random.integers(0, 256, 3), np.uint8)
    else:
        picture = _away(store, side, random)
    if random.random() < 0.25:
        other = _away(store, side, random) if random.random() < 0.5 else _pattern(side, random)
        cut = int(random.integers(1, side))
        if random.random() < 0.5:
            picture[:cut] = other[:cut]
        else:
            picture[:, :cut] = other[:, :cut]
    return picture


def _away(store: FrameStore, side: int, random: np.random.Generator) -> U8:
    """Cut where no face is, or so deep into one that it is none."""
    for _ in range(30):
        index = int(random.integers(len(store)))
        marks = store.landmarks[index]
        face = Place.around(marks)
        low, high = marks[:, :2].min(0), marks[:, :2].max(0)
        size = CANVAS * float(np.exp(random.uniform(-1.9, -0.2)))
        corner = random.uniform(0, CANVAS - size, 2)
        apart = (corner > high).any() or (corner + size < low).any()
        if apart or size < 0.25 * face.side:
            x, y = corner
            crop = store.frames[index][int(y) : int(y + size), int(x) : int(x + size)]
            if crop.size:
                return np.asarray(cv2.resize(crop, (side, side)), np.uint8)
    return _pattern(side, random)


def _pattern(side: int, random: np.random.Generator) -> U8:
    """Smooth noise of several scales, with shapes on it."""
    picture = np.zeros((side, side, 3), np.float32)
    for cells in (2, 4, 8, 32):
        coarse = random.normal(0, 1, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * random.uniform(
            0, 60
        )
    out = np.clip(picture + random.uniform(40, 215, 3), 0, 255).astype(np.uint8)
    for _ in range(int(random.integers(0, 12))):
        colour = random.integers(0, 256, 3).tolist()
        a, b = random.integers(0, side, (2, 2)).tolist()
        kind = int(random.integers(4))
        thick = -1 if random.random() < 0.5 else int(random.integers(1, 5))
        if kind == 0:
            cv2.rectangle(out, a, b, colour, thick)
        elif kind == 1:
            axes = random.integers(2, side // 3, 2).tolist()
            cv2.ellipse(out, a, axes, float(random.uniform(0, 180)), 0, 360, colour, thick)
        elif kind == 2:
            cv2.line(out, a, b, colour, int(random.integers(1, 6)), cv2.LINE_AA)
        else:
            text = "".join(map(chr, random.integers(33, 127, 6)))
            cv2.putText(out, text, a, cv2.FONT_HERSHEY_SIMPLEX, random.uniform(0.3, 2), colour, 2)
    return out


def _frame(store: FrameStore, index: int, random: np.random.Generator) -> tuple[U8, F32]:
    picture, marks = store.frames[index], store.landmarks[index]
    if random.random() < 0.5:
        picture, marks = mirrored(picture, marks)
    if random.random() < 0.2:
        picture, marks = narrowed(picture, marks, 1 - random.uniform(0, 0.25))
    return np.ascontiguousarray(picture), marks


def _spoil(picture: U8, random: np.random.Generator) -> U8:
    nowhere = np.zeros((478, 2), np.float32)
    chances = CallAugmentation(glasses=0, glare=0, occluder=0, occluded_mouth=0)
    return augment_call(picture, nowhere, picture, chances, random)


def _warp(picture: U8, matrix: np.ndarray, side: int, border: int, value: list[float]) -> U8:
    moved = matrix.copy()
    moved[:, 2] += moved[:, :2] @ (0.5, 0.5) - 0.5  # from our pixel centres to OpenCV's
    out = cv2.warpAffine(
        picture, moved, (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=value
    )
    return np.asarray(out, np.uint8)


def _moved(marks: F32, matrix: np.ndarray) -> F32:
    return np.asarray(marks[:, :2] @ matrix[:, :2].T + matrix[:, 2], np.float32)


def _sorted(picture: U8, places: list[Place], side: int) -> ScenePicture:
    """Part the faces that are to be found from those that need not be."""
    clear, vague = [], []
    for place in places:
        inside = [
            max(min(m + place.side / 2, side) - max(m - place.side / 2, 0), 0) / place.side
            for m in (place.x, place.y)
        ]
        shown = inside[0] * inside[1]
        in_picture = 0 <= place.x < side and 0 <= place.y < side
        if shown > 1 - _HIDDEN and in_picture and LEAST * side * 1.35 <= place.side <= 1.7 * side:
            clear.append(place)
        else:
            vague.append(place)
    return ScenePicture(picture, clear, vague)


def _overlap(one: Place, other: Place) -> float:
    reach = (one.side + other.side) / 2
    return reach - max(abs(one.x - other.x), abs(one.y - other.y))


def _touches(place: Place, corner: np.ndarray, size: float) -> bool:
    half = place.side / 2
    return bool(
        corner[0] < place.x + half
        and corner[0] + size > place.x - half
        and corner[1] < place.y + half
        and corner[1] + size > place.y - half
    )
