# SPDX-License-Identifier: Apache-2.0
"""The pictures that every codec is given: a clip as a square canvas at a constant rate."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.face import open_tracker
from talkcodec.media.reader import VideoReader
from talkcodec.media.timing import mean_rate
from talkcodec.metrics import Clip
from talkcodec.preprocess.window import CropWindow
from talkcodec.types import U8

#: A comparison holds a clip in memory several times over; longer ones are cut.
MAX_FRAMES = 3000
#: Frames in which a face is looked for before the centre square is taken.
_FACE_SEARCH = 50


@dataclass(frozen=True)
class Source:
    """A named canvas clip."""

    name: str
    clip: Clip

    @cached_property
    def digest(self) -> str:
        """SHA-256 over rate and pictures, in hex: equal exactly when the codecs' input is."""
        frames = self.clip.frames
        head = f"{self.clip.fps} {len(frames)} {frames[0].shape}"
        state = hashlib.sha256(head.encode())
        for frame in frames:
            state.update(frame.tobytes())
        return state.hexdigest()


def load_source(path: Path, size: int = 256, seconds: float | None = None) -> Source:
    """Read a video file as a canvas clip, at most ``seconds`` and :data:`MAX_FRAMES` long.

    The canvas is the codec's own crop around the first face that is seen, held for the whole
    clip; without a face it is the centre square. Frames are shown at their mean rate.
    """
    pictures: list[U8] = []
    times: list[Fraction] = []
    with VideoReader(path) as reader:
        for frame in reader:
            late = seconds is not None and frame.time >= seconds
            if pictures and (late or len(pictures) == MAX_FRAMES):
                break
            pictures.append(frame.picture)
            times.append(frame.time)
        rate = mean_rate(times, reader.info.rate)
    if not pictures:
        raise InputError(f"expected at least one picture in {path.name}, found none")
    left, top, right, bottom = _window(pictures, rate)
    frames = [_resized(picture[top:bottom, left:right], size) for picture in pictures]
    return Source(path.stem, Clip(frames, rate))


def clip_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each of ``paths``: without folder and suffix where that tells it apart."""
    names = [path.stem for path in paths]
    longer: tuple[Callable[[Path], str], ...] = (
        lambda path: path.name,
        lambda path: f"{path.absolute().parent.name}/{path.name}",
        str,
    )
    for name in longer:
        common = Counter(names)
        names = [
            name(path) if common[now] > 1 else now for path, now in zip(paths, names, strict=True)
        ]
    seen: Counter[str] = Counter()
    for index, name_now in enumerate(names):  # the same file twice
        seen[name_now] += 1
        if seen[name_now] > 1:
            names[index] = f"{name_now} ({seen[name_now]})"
    return names


def _window(pictures: list[U8], rate: Fraction) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the crop, placed by the first face that is seen."""
    window = CropWindow()
    window.crop(pictures[0])
    tracker = open_tracker()
    try:
        for index, picture in enumerate(pictures[:_FACE_SEARCH]):
            face = tracker.track(picture, float(index / rate))
            if face is not None:
                window.follow(picture.shape, face)
                break
    finally:
        tracker.close()
    return window.bounds


def _resized(square: U8, size: int) -> U8:
    if square.shape[0] == size:
        return np.ascontiguousarray(square)
    resized = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)
