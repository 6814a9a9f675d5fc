# SPDX-License-Identifier: Apache-2.0
"""What a metric is: one protocol for scores of single pictures and of whole clips.

A metric is opened *against* a source, once, and then scores any number of outputs: whatever it
can work out from the source alone (features, landmarks) is worked out once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from talkcodec.types import F64, U8


@dataclass(frozen=True, slots=True)
class Clip:
    """Pictures of equal size shown at a constant rate.

    ``frames``: uint8 (H, W, 3) RGB each. ``fps``: pictures per second.
    """

    frames: Sequence[U8]
    fps: Fraction

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("expected at least one frame, found none")
        shape = self.frames[0].shape
        for index, frame in enumerate(self.frames):
            if frame.dtype != np.uint8 or frame.shape != shape or frame.shape[2:] != (3,):
                raise ValueError(
                    f"expected uint8 (H, W, 3) like frame 0 {shape}, "
                    f"found {frame.dtype} {frame.shape} at frame {index}"
                )

    @property
    def seconds(self) -> float:
        return len(self.frames) / float(self.fps)

    def every(self, step: int) -> Clip:
        """Return the frames 0, ``step``, 2 · ``step``, … as a clip of their own."""
        return Clip(self.frames[::step], self.fps / step)


#: Column name → one value per frame; NaN where a frame could not be scored.
Scores = dict[str, F64]


class Scorer(Protocol):
    """A metric opened against one source."""

    def score(self, output: Clip) -> Scores:
        """Score ``output``, which has the source's frame count and size."""


class Metric(Protocol):
    """A way to score an output clip against its source."""

    @property
    def name(self) -> str:
        """Short name, unique in the registry."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """What ``Scorer.score`` returns."""

    @property
    def whole(self) -> bool:
        """Whether consecutive frames are needed; otherwise any subset may be scored."""

    def against(self, source: Clip) -> Scorer:
        """Open the metric for outputs of ``source``."""


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a metric: its name, its unit and which direction is good."""

    name: str
    unit: str
    lower_is_better: bool


def check_pair(source: Clip, output: Clip) -> None:
    """Raise ``ValueError`` unless both clips have the same number and size of frames."""
    if len(source.frames) != len(output.frames):
        raise ValueError(f"expected {len(source.frames)} frames, found {len(output.frames)}")
    if source.frames[0].shape != output.frames[0].shape:
        raise ValueError(
            f"expected frames of {source.frames[0].shape}, found {output.frames[0].shape}"
        )
