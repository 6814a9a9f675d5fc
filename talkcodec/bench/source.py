# SPDX-License-Identifier: Apache-2.0
"""The pictures that every codec is given: a clip as a square canvas at a constant rate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.metrics import Clip
from talkcodec.types import U8

#: A comparison holds a clip in memory several times over; longer ones are cut.
MAX_FRAMES = 3000


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


def centre_square(picture: U8, size: int) -> U8:
    """Cut the largest centred square and resize it to ``size`` pixels a side."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    resized = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def load_source(path: Path, size: int = 256, seconds: float | None = None) -> Source:
    """Read a video file as a canvas clip, at most ``seconds`` and :data:`MAX_FRAMES` long."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"expected a video track in {path.name}, found none")
            stream = container.streams.video[0]
            stream.thread_count = 1
            fps = Fraction(stream.average_rate or 25)
            limit = MAX_FRAMES if seconds is None else min(MAX_FRAMES, round(seconds * fps))
            frames: list[U8] = []
            for frame in container.decode(stream):
                frames.append(centre_square(cast("U8", frame.to_ndarray(format="rgb24")), size))
                if len(frames) >= max(1, limit):
                    break
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"expected a readable video, found {path.name}: {error}") from error
    if not frames:
        raise InputError(f"expected at least one picture in {path.name}, found none")
    return Source(path.stem, Clip(frames, fps))
