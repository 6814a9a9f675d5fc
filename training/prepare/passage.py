# SPDX-License-Identifier: Apache-2.0
"""One passage of a video: crops, labels and figures, frame by frame."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcodec.media.writer import VideoWriter
from talkcodec.types import CANVAS, F32, LANDMARKS, U8, Box, Frame
from training.prepare.hashing import INTERVAL, picture_hash
from training.prepare.labels import BLENDSHAPES, MASK_SIDE, PassageLabels, pack
from training.prepare.quality import Figures, combing, detail, jump_share, median
from training.prepare.scan import Scan, Span, window
from training.prepare.sources import Source
from training.prepare.statistics import counts
from training.prepare.teacher import Sighting, Teacher

#: Side of the large crop, and the least side in the source that makes it worth its bytes.
LARGE = 512
LEAST_LARGE = 480

#: x264's rate factor of the crops. At 14 they look the same, yet differ from the source by half of
#: what our reference codec takes (DISTS .026 on soft pictures), and a network learns to draw that.
QUALITY = 4

_EVERY = 3  # frames between two looks for combing
_COLUMNS = 4  # one column in so many is looked at for combing


class Cutting:
    """Takes a passage's frames in; ``finish`` or ``discard`` ends it.

    Writes ``KEY.mp4`` (256²), ``KEY.512.mp4`` where the source has it, ``KEY.npz`` and
    ``KEY.json`` into ``work``.
    """

    def __init__(
        self, source: Source, key: str, span: Span, found: Scan, work: Path, teacher: Teacher
    ) -> None:
        self.key = key
        self._source, self._span, self._found = source, span, found
        self._work, self._teacher = work, teacher
        self._small = window(span, found.size, CANVAS)
        left, _, right, _ = self._small.bounds
        self._side = right - left
        # The teacher sees what the source has, within reason.
        self._sharp = window(span, found.size, min(max(self._side, CANVAS), LARGE))
        small = VideoWriter(work / f"{key}.mp4", found.tick_rate, quality=QUALITY)
        self._writers = {f"{key}.mp4": small}
        self._large = window(span, found.size, LARGE) if self._side >= LEAST_LARGE else None
        if self._large is not None:
            name = f"{key}.{LARGE}.mp4"
            self._writers[name] = VideoWriter(work / name, found.tick_rate, quality=QUALITY)
        self._start = found.times[span.start]
        self._ticks: list[int] = []
        self._sightings: list[tuple[F32, Sighting]] = []
        self._detail: list[float] = []
        self._combing: list[float] = []
        self._brightness: list[float] = []
        self._hashes: list[bytes] = []
        self._before: U8 | None = None
        self._labels: PassageLabels | None = None

    def add(self, frame: Frame) -> None:
        """Take in the next frame of the passage; one that shares its tick is left out."""
        seconds = float(frame.time) - self._start
        tick = round(seconds * self._found.tick_rate)
        if self._ticks and tick <= self._ticks[-1]:
            return
        self._ticks.append(tick)
        small = self._small.crop(frame.picture)
        sharp = self._sharp.crop(frame.picture)
        sighting = self._teacher.look(sharp, small, seconds)
        marks = np.zeros((LANDMARKS, 3), np.float32)
        if sighting.face is not None:
            marks = sighting.face.landmarks * np.float32(CANVAS / sharp.shape[0])
        self._sightings.append((marks, sighting))
        self._judge(frame.picture, small, marks, sighting, seconds)
        self._writers[f"{self.key}.mp4"].write(small, tick)
        if self._large is not None:
            large = sharp if self._side >= LARGE else self._large.crop(frame.picture)
            self._writers[f"{self.key}.{LARGE}.mp4"].write(large, tick)

    def _judge(
        self, picture: U8, small: U8, marks: F32, sighting: Sighting, seconds: float
    ) -> None:
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if seconds >= len(self._hashes) * INTERVAL:
            self._hashes.append(picture_hash(grey))
        sharpness = light = float("nan")
        if sighting.face is not None:
            box = Box(*map(float, (*marks[:, :2].min(0), *marks[:, :2].max(0))))
            sharpness, light = detail(grey, box), brightness(grey, box)
        self._detail.append(sharpness)
        self._brightness.append(light)
        number = len(self._ticks) - 1
        if number % _EVERY in (0, 1):
            left, top, right, bottom = self._small.bounds
            # Green stands for brightness: lines must stay as they are, and whole.
            lines = np.ascontiguousarray(picture[top:bottom, left:right:_COLUMNS, 1])
            if number % _EVERY == 1 and self._before is not None:
                self._combing.append(combing(lines, self._before))
            self._before = lines

    def labels(self) -> PassageLabels:
        """Return the labels of the frames so far."""
        if self._labels is None or len(self._labels) != len(self._ticks):
            self._labels = _labels(self._ticks, self._sightings)
        return self._labels

    def figures(self) -> Figures:
        """Return the quality of the frames so far."""
        labels = self.labels()
        heights = np.ptp(labels.landmarks[labels.found, :, 1], axis=1) * (self._side / CANVAS)
        seconds = [tick / float(self._found.tick_rate) for tick in self._ticks]
        return Figures(
            seconds=round(self._span.seconds, 4),
            face=round(median([float(h) for h in heights]), 2),
            found=round(float(labels.found.mean()), 5),
            detail=round(median(self._detail), 4),
            combing=round(median(self._combing), 4),
            jumps=round(jump_share(labels.landmarks, labels.found, seconds), 5),
        )

    def finish(self) -> dict[str, Any]:
        """Write what is left to write; return what the record keeps of the passage."""
        labels = self.labels()
        for writer in self._writers.values():
            writer.close()
        about = self._about(labels)
        (self._work / f"{self.key}.npz").write_bytes(pack(labels))
        (self._work / f"{self.key}.json").write_text(json.dumps(about, sort_keys=True))
        return {
            "about": about,
            "bytes": {
                path.name.removeprefix(f"{self.key}."): path.stat().st_size
                for path in sorted(self._work.glob(f"{self.key}.*"))
            },
            "hashes": [code.hex() for code in self._hashes],
            "histograms": counts(labels, np.nan_to_num(self._brightness).tolist()),
        }

    def discard(self) -> None:
        """End without leaving a file."""
        for name, writer in self._writers.items():
            writer.close()
            (self._work / name).unlink(missing_ok=True)

    def _about(self, labels: PassageLabels) -> dict[str, Any]:
        rate = self._found.tick_rate
        return {
            "key": self.key,
            "clip": self._source.name,
            "identity": self._source.identity,
            "split": self._source.split,
            "licence": self._source.licence,
            "frames": len(labels),
            "fps": round((len(labels) - 1) / max((labels.ticks[-1] / float(rate)), 1e-6), 4)
            if len(labels) > 1
            else float(rate),
            "time_base": f"{rate.denominator}/{rate.numerator}",
            "source_size": list(self._found.size),
            "source_frames": [self._span.start, self._span.stop],
            "window": list(self._small.bounds),
            "sizes": [CANVAS, LARGE] if self._large is not None else [CANVAS],
            "mask": labels.mask is not None,
            "crowded": self._span.crowded,
            "quality": asdict(self.figures()),
        }


def _labels(ticks: list[int], seen: list[tuple[F32, Sighting]]) -> PassageLabels:
    count = len(ticks)
    shapes = np.zeros((count, BLENDSHAPES), np.float32)
    pose = np.zeros((count, 4, 4), np.float32)
    masks = np.zeros((count, MASK_SIDE, MASK_SIDE), np.uint8)
    for index, (_, sighting) in enumerate(seen):
        if sighting.face is not None and sighting.face.blendshapes is not None:
            shapes[index] = sighting.face.blendshapes
        if sighting.face is not None and sighting.face.pose is not None:
            pose[index] = sighting.face.pose
        if sighting.mask is not None:
            masks[index] = sighting.mask
    return PassageLabels(
        np.array(ticks, np.int32),
        np.array([sighting.face is not None for _, sighting in seen], np.bool_),
        np.stack([marks for marks, _ in seen]),
        shapes,
        pose,
        masks if seen[0][1].mask is not None else None,
    )


def brightness(grey: U8, face: Box) -> float:
    """Return the mean of the face in ``grey``, uint8 (256, 256); NaN if it is outside."""
    left, top = max(int(face.left), 0), max(int(face.top), 0)
    part = grey[top : max(int(face.bottom), 0), left : max(int(face.right), 0)]
    return float(part.mean()) if part.size else float("nan")
