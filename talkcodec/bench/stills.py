# SPDX-License-Identifier: Apache-2.0
"""Pictures side by side, labelled: one of a clip, or a video of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from talkcodec.media.writer import VideoWriter
from talkcodec.types import U8

#: Label and pictures of one column.
Panel = tuple[str, Sequence[U8]]

_BAR = 24
_MILLISECONDS = Fraction(1000)


def beside(pictures: Sequence[tuple[str, U8]]) -> U8:
    """Put pictures of one size in a row, each under a bar with its label."""
    columns = []
    for label, picture in pictures:
        bar = np.full((_BAR, picture.shape[1], 3), 24, np.uint8)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(bar, label, (6, 17), font, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
        columns.append(np.concatenate([bar, picture]))
    return np.concatenate(columns, axis=1)


@dataclass(frozen=True)
class Still:
    """One moment of a clip: uint8 (H, W, 3) RGB, panels in a row."""

    picture: U8

    @classmethod
    def at(cls, panels: Sequence[Panel], index: int) -> Still:
        """Take frame ``index`` of every panel."""
        return cls(beside([(label, frames[index]) for label, frames in panels]))

    def png(self) -> bytes:
        """Encode without loss."""
        _, data = cv2.imencode(".png", cv2.cvtColor(self.picture, cv2.COLOR_RGB2BGR))
        return data.tobytes()


class SideBySide:
    """Writes clips one after the other into one video, panels in a row."""

    def __init__(self, path: Path) -> None:
        self._writer = VideoWriter(path, _MILLISECONDS)
        self._time = Fraction(0)

    def append(self, panels: Sequence[Panel], fps: Fraction) -> None:
        """Append a clip; all panels have its frame count."""
        for index in range(len(panels[0][1])):
            tick = round(self._time * _MILLISECONDS)
            self._writer.write(Still.at(panels, index).picture, tick)
            self._time += 1 / fps

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
