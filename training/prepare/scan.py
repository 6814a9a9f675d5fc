# SPDX-License-Identifier: Apache-2.0
"""First look at a video: its scenes, where a face is in them, and the window to cut.

The face is looked for a few times a second in a small copy of the picture; labelling every frame
is for the second look, which then reads the cut window only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from talkcodec.face.follow import Follower
from talkcodec.face.mediapipe import MediaPipeFinder
from talkcodec.media.reader import VideoReader
from talkcodec.preprocess.window import CropWindow
from talkcodec.types import F64, LANDMARKS, U8, Box, FaceObservation
from training.prepare.options import Options
from training.prepare.scenes import CutFinder

#: Seconds between two looks for the face.
INTERVAL = 0.2
#: Seconds without a face that a passage survives.
GAP = 0.7
#: Longer side of the picture in which the face is looked for, in pixels.
SEARCH_SIDE = 640
#: Share of the window's side that everything the face does may take.
ROOM = 0.7


@dataclass(frozen=True, slots=True)
class Sight:
    """A face seen at frame ``index``, at ``time`` seconds: its box in source pixels."""

    index: int
    time: float
    box: Box


@dataclass(slots=True)
class Scene:
    """Frames ``start`` to ``stop`` (exclusive) without a cut; the faces followed in them."""

    start: int
    stop: int
    sights: list[Sight] = field(default_factory=list)
    looks: int = 0
    #: Looks at which more than one face was in view.
    crowded: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A passage to be cut: frames ``start`` to ``stop`` (exclusive) around ``face``.

    ``face``: the box to frame, in source pixels. ``height``: median height of the face there.
    """

    start: int
    stop: int
    seconds: float
    face: Box
    height: float
    crowded: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What the first look found: ``times`` of all frames in seconds, and the scenes."""

    times: list[float]
    tick_rate: Fraction
    size: tuple[int, int]
    scenes: list[Scene]


def scan(path: Path) -> Scan:
    """Look through the video at ``path``.

    Raises:
        InputError: it cannot be read to its end.
    """
    finder = MediaPipeFinder()
    try:
        with VideoReader(path) as reader:
            return _scan(reader, finder)
    finally:
        finder.close()


def _scan(reader: VideoReader, finder: MediaPipeFinder) -> Scan:
    cuts, follower = CutFinder(), Follower()
    times: list[float] = []
    scenes: list[Scene] = []
    size, due = (0, 0), 0.0
    for index, frame in enumerate(reader):
        time, size = float(frame.time), (frame.picture.shape[1], frame.picture.shape[0])
        times.append(time)
        if index == 0 or cuts.step(frame.picture):
            if scenes:
                finder.reset()
                follower.reset()
            scenes.append(Scene(index, index))
            due = time
        scene = scenes[-1]
        scene.stop = index + 1
        if time >= due:
            due = time + INTERVAL
            _look(frame.picture, time, index, finder, follower, scene)
    return Scan(times, reader.info.tick_rate, size, scenes)


def _look(
    picture: U8,
    time: float,
    index: int,
    finder: MediaPipeFinder,
    follower: Follower,
    scene: Scene,
) -> None:
    height, width = picture.shape[:2]
    scale = min(1.0, SEARCH_SIDE / max(height, width))
    small = picture
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    faces = finder.find(small, time)
    scene.looks += 1
    scene.crowded += len(faces) > 1
    face = follower.choose(faces, time, small.shape[1], small.shape[0])
    if face is not None:
        x, y = width / small.shape[1], height / small.shape[0]
        box = Box(face.box.left * x, face.box.top * y, face.box.right * x, face.box.bottom * y)
        scene.sights.append(Sight(index, time, box))


def spans(found: Scan, options: Options) -> Iterator[Span]:
    """Yield the passages of a video: one face without a gap, none longer than asked for."""
    for scene in found.scenes:
        for run in _runs(scene.sights):
            yield from _divide(scene, run, found, options)


def _runs(sights: list[Sight]) -> Iterator[list[Sight]]:
    run: list[Sight] = []
    for sight in sights:
        if run and sight.time - run[-1].time > GAP:
            yield run
            run = []
        run.append(sight)
    if run:
        yield run


def _divide(scene: Scene, run: list[Sight], found: Scan, options: Options) -> Iterator[Span]:
    times = found.times
    # Between two looks nobody looked: a run reaches to the look before and after it, at most.
    start = scene.start if run[0].time - times[scene.start] <= INTERVAL else run[0].index
    last = scene.stop - 1
    stop = scene.stop if times[last] - run[-1].time <= 1.5 * INTERVAL else run[-1].index + 1
    frame = (times[-1] - times[0]) / max(len(times) - 1, 1)
    seconds = times[stop - 1] - times[start] + frame
    pieces = max(1, int(np.ceil(seconds / options.max_seconds - 1e-6)))
    edges = [start + (stop - start) * piece // pieces for piece in range(pieces + 1)]
    for begin, end in itertools.pairwise(edges):
        inside = [s for s in run if begin <= s.index < end] or [run[-1]]
        box, height = _room(inside)
        yield Span(
            begin,
            end,
            times[end - 1] - times[begin] + frame,
            box,
            height,
            crowded=scene.crowded > 0.1 * scene.looks,
        )


def _room(sights: list[Sight]) -> tuple[Box, float]:
    """Return the box to frame: as high as the face, higher where it moves about."""
    corners: F64 = np.array([(s.box.left, s.box.top, s.box.right, s.box.bottom) for s in sights])
    left, top = np.percentile(corners[:, :2], 5, axis=0)
    right, bottom = np.percentile(corners[:, 2:], 95, axis=0)
    height = float(np.median(corners[:, 3] - corners[:, 1]))
    half = max(height, ROOM * (bottom - top), ROOM * (right - left)) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    width = float(np.median(corners[:, 2] - corners[:, 0])) / 2
    return Box(float(x - width), float(y - half), float(x + width), float(y + half)), height


def window(span: Span, size: tuple[int, int], side: int) -> CropWindow:
    """Return the still window of ``span`` in a video of ``size`` (width, height), at ``side``²."""
    placed = CropWindow(side)
    nowhere = np.zeros((LANDMARKS, 3), np.float32)
    placed.follow((size[1], size[0], 3), FaceObservation(nowhere, 1.0, span.face))
    return placed
