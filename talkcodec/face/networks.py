# SPDX-License-Identifier: Apache-2.0
"""The networks of the built-in tracker, as functions of pictures.

They take bytes and scale them themselves. Where a processor computes in bf16 they do: it moves a
landmark by 0.04 pixels of a face of 200, a fifth of what the picture's own noise does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.face.details import DETAILS
from talkcodec.face.place import Place
from talkcodec.render.engine import EngineName
from talkcodec.types import F32, U8

#: Chance of a face, 0 to 1, from which a cell of the detector's map is looked at more closely.
FOUND = 0.6
#: Places whose overlap, intersection over union, is more than this are one face.
SAME = 0.4


@dataclass(frozen=True, slots=True)
class Reading:
    """What the landmark network says of a place.

    ``landmarks``: float32 (478, 3) in pixels of the picture. ``chance``: that this is a face, 0
    to 1. ``openings``: float32 (3,), of lips, left and right lids in inter-ocular distances.
    """

    landmarks: F32
    chance: float
    openings: F32


class Landmarker:
    """Reads the landmarks of the face at a place."""

    def __init__(self, engine: EngineName = "auto") -> None:
        self._engine = weights.open_network("tracker", engine)
        self._side = self._engine.inputs["crop"][-1]

    def __call__(self, picture: U8, place: Place) -> Reading:
        """Look at ``place`` of ``picture``, uint8 (H, W, 3) RGB."""
        crop = place.crop(picture, self._side)
        found = self._engine.run({"crop": _planes(crop)})
        extras = found["extras"][0]
        landmarks = place.to_picture(found["landmarks"][0])
        return Reading(landmarks, _chance(float(extras[0])), extras[1:].astype(np.float32))

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._engine.close()


class Details:
    """Reads lips, lids and irises once more, each from nearer."""

    def __init__(self, engine: EngineName = "auto") -> None:
        self._engine = weights.open_network("details", engine)

    def __call__(self, picture: U8, landmarks: F32, face: Place) -> F32:
        """Return ``landmarks``, float32 (478, 3) in pixels of ``picture``, uint8 (H, W, 3), with
        the points of mouth and eyes where they are seen to be; depths stay. ``face``: ``around``
        them.
        """
        places = [detail.place(landmarks, face) for detail in DETAILS]
        seen = {
            detail.name: detail.crop(picture, place, self._engine.inputs[detail.name][-1])
            for detail, place in zip(DETAILS, places, strict=True)
        }
        out = landmarks.copy()
        told = self._engine.run(seen)
        for detail, place in zip(DETAILS, places, strict=True):
            points = told[f"{detail.name}_points"][0]
            out[list(detail.points), :2] = detail.to_picture(points, place)
        return out

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._engine.close()


class Detector:
    """Says where faces are in a picture of any size."""

    def __init__(self, engine: EngineName = "auto") -> None:
        self._engine = weights.open_network("detector", engine)
        self._side = self._engine.inputs["picture"][-1]

    def __call__(self, picture: U8, most: int) -> list[tuple[float, Place]]:
        """Return up to ``most`` faces of ``picture``, uint8 (H, W, 3), surest first."""
        height, width = picture.shape[:2]
        # A square about the middle: grey beside a picture that is none.
        whole = Place(width / 2, height / 2, float(max(width, height)))
        small = _whole(picture, whole, self._side)
        found = self._engine.run({"picture": _planes(small)})
        scores, places = found["scores"][0], found["places"][0]
        kept: list[tuple[float, Place]] = []
        # The cells around a large face's middle answer too: peaks only, else they leave no turn to
        # the smaller faces.
        peaks = np.where(scores == cv2.dilate(scores, np.ones((3, 3))), scores, -np.inf)
        for index in np.argsort(peaks, axis=None)[::-1][: 4 * most]:
            row, column = divmod(int(index), scores.shape[1])
            chance = _chance(float(peaks[row, column]))
            if chance < FOUND or len(kept) == most:
                break
            place = told_place(places, row, column, whole)
            if all(overlap(place, other) <= SAME for _, other in kept):
                kept.append((chance, place))
        return kept

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._engine.close()


def told_place(places: F32, row: int, column: int, whole: Place) -> Place:
    """Return the face's place that a cell of the detector's map tells of.

    ``places``: float32 (5, C, C), as the network gives them of the upright square ``whole``; the
    result is in the pixels of that square. Sides stay within what a face can be, for the network
    gives logarithms and may be wrong.
    """
    x, y, size, c, s = (float(v) for v in places[:, row, column])
    step = whole.side / places.shape[1]
    return Place(
        (column + 0.5 + x) * step + whole.x - whole.side / 2,
        (row + 0.5 + y) * step + whole.y - whole.side / 2,
        whole.side * float(np.exp(np.clip(size, -4, 1))),
        float(np.arctan2(s, c)),
    )


def overlap(one: Place, other: Place) -> float:
    """Return intersection over union of two places, as if both were upright."""
    reach = (one.side + other.side) / 2
    width = min(reach - abs(one.x - other.x), one.side, other.side)
    height = min(reach - abs(one.y - other.y), one.side, other.side)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one.side**2 + other.side**2 - shared)


def _whole(picture: U8, place: Place, side: int) -> U8:
    """Shrink a picture by averaging, and lay it into the middle of a grey square."""
    height, width = picture.shape[:2]
    scale = side / place.side
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture, size, interpolation=method)
    if small.shape[:2] == (side, side):
        return np.asarray(small, np.uint8)
    out = np.full((side, side, 3), 128, np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def _planes(picture: U8) -> U8:
    """Return uint8 (1, 3, S, S) of a picture (S, S, 3)."""
    return picture.transpose(2, 0, 1)[None]


def _chance(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))
