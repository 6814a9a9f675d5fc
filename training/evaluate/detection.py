# SPDX-License-Identifier: Apache-2.0
"""Whether a face is found without having been followed, and whether one is seen where none is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.face import FaceFinder
from talkcodec.types import U8
from training.evaluate.material import Material

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_SIDE = 512  # of the pictures without a face


def cold(finder: FaceFinder, material: Iterable[Material], every: int) -> dict[str, Any]:
    """Look at one frame in ``every`` as if it were the first: how many faces are found, in %.

    A face counts as found where its box overlaps the teacher's by half or more.
    """
    frames = hits = 0
    for item in material:
        for index in range(0, len(item.frames), every):
            if not item.found[index]:
                continue
            finder.reset()
            marks = item.teacher[index, :, :2]
            low, high = marks.min(0), marks.max(0)
            frames += 1
            for face in finder.find(item.frames[index], 0.0):
                box = face.box
                size = np.minimum(high, (box.right, box.bottom)) - np.maximum(
                    low, (box.left, box.top)
                )
                shared = float(np.prod(np.maximum(size, 0)))
                union = float(np.prod(high - low)) + box.width * box.height - shared
                if shared >= 0.5 * union:
                    hits += 1
                    break
    return {"frames": frames, "found": 100 * hits / max(frames, 1)}


def without_faces(finder: FaceFinder, folder: Path, crops: int) -> dict[str, Any]:
    """Look for faces in the pictures in ``folder``, which must show none, and in parts of them.

    Raises:
        InputError: there is no picture.
    """
    whole = pictures = seen = 0
    for picture, part in empty_pictures(folder, crops):
        finder.reset()
        pictures += 1
        whole += not part
        seen += bool(finder.find(picture, 0.0))
    if not pictures:
        raise InputError(f"expected pictures without faces in {folder}, found none that is large")
    return {
        "pictures": pictures,
        "whole": whole,
        "false": seen,
        "false_in_1000": 1000 * seen / pictures,
    }


def empty_pictures(folder: Path, crops: int) -> Iterator[tuple[U8, bool]]:
    """Yield each picture below ``folder`` whole and in ``crops`` random parts, 512² or less, and
    whether it is a part. Parts are squares of 30 % of the shorter side and more.

    Raises:
        InputError: there is none.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not files:
        raise InputError(f"expected pictures without faces in {folder}, found none")
    random = np.random.default_rng(0)
    for file in files:
        data = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if data is None or min(data.shape[:2]) < 64:
            continue
        picture = np.asarray(cv2.cvtColor(data, cv2.COLOR_BGR2RGB), np.uint8)
        yield _small(picture), False
        height, width = picture.shape[:2]
        for _ in range(crops):
            side = int(min(height, width) * np.exp(random.uniform(np.log(0.3), 0)))
            top, left = (int(random.integers(0, n - side + 1)) for n in (height, width))
            part = np.ascontiguousarray(picture[top : top + side, left : left + side])
            yield _small(part), True


def _small(picture: U8) -> U8:
    scale = min(_SIDE / max(picture.shape[:2]), 1.0)
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
