# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: what was before the camera, and below it what was shown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from talkcodec.types import U8
from training.failures.compose import Staged
from training.failures.measure import Run

#: Seconds from the event at which the sheet looks; the last ones are after most scenes' end.
MOMENTS = (-0.3, 0.0, 0.12, 0.24, 0.4, 1.0, 1.9, 2.4, 2.9, 3.4)
#: Scenes of each kind.
EACH = 2
_SIDE = 144
#: Rims: video is blue, motion in doubt yellow.
_VIDEO, _DOUBT = (40, 110, 255), (240, 200, 40)


class Sheet:
    """Collects scenes."""

    def __init__(self) -> None:
        self._rows: list[U8] = []
        self._count: Counter[str] = Counter()

    def wants(self, kind: str) -> bool:
        """Return whether there is room for another scene of ``kind``."""
        return self._count[kind] < EACH

    def frames(self, scene: Staged) -> list[int]:
        """Return the frames that the sheet shows of ``scene``."""
        rate = float(scene.rate)
        wanted = (scene.event + round(moment * rate) for moment in MOMENTS)
        return [min(max(frame, 0), len(scene.frames) - 1) for frame in wanted]

    def add(self, scene: Staged, run: Run) -> None:
        """Add two rows; ``run`` kept what ``frames`` named."""
        self._count[scene.kind] += 1
        frames = self.frames(scene)
        black = np.zeros((_SIDE, _SIDE, 3), np.uint8)
        above = [_fit(scene.frames[frame]) for frame in frames]
        below = []
        for frame in frames:
            tile = _fit(run.shown[frame]) if frame in run.shown else black.copy()
            step = run.steps[frame]
            if step.mode == "video" or step.struggling:
                rim = _VIDEO if step.mode == "video" else _DOUBT
                cv2.rectangle(tile, (1, 1), (_SIDE - 2, _SIDE - 2), rim, 3)
                where = (5, _SIDE - 8)
                cv2.putText(tile, step.reason, where, cv2.FONT_HERSHEY_SIMPLEX, 0.36, rim, 1)
            below.append(tile)
        self._rows += [np.hstack(above), np.hstack(below)]

    def write(self, path: Path) -> None:
        """Write the sheet as PNG."""
        if self._rows:
            cv2.imwrite(str(path), cv2.cvtColor(np.vstack(self._rows), cv2.COLOR_RGB2BGR))


def _fit(picture: U8) -> U8:
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = picture[top : top + side, left : left + side]
    return np.asarray(
        cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8
    )
