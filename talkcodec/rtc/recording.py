# SPDX-License-Identifier: Apache-2.0
"""Remembers a short call in pictures: what went in, and what was on the screen meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import U8

#: Frames kept of each side, about 25 kB each: four minutes at 25 frames a second. Later frames
#: are not recorded.
LIMIT = 6000

#: Of JPEG, 0 to 100: a recording is for looking at, and must not cost the call its time.
QUALITY = 95

_GREY = 64


class Recording:
    """Two sides of a call by tick. Each side may be written from a thread of its own."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._sent: dict[int, bytes] = {}
        self._shown: dict[int, bytes] = {}

    def sent(self, tick: int, picture: U8) -> None:
        """Keep the sender's canvas (S, S, 3) at ``tick``."""
        self._keep(self._sent, tick, picture)

    def shown(self, tick: int, picture: U8) -> None:
        """Keep the picture (S, S, 3) that the receiver drew for ``tick``."""
        self._keep(self._shown, tick, picture)

    @property
    def first_tick(self) -> int:
        """The first tick of either side; 0 for an empty recording."""
        return min([*self._sent, *self._shown], default=0)

    def pairs(self) -> Iterator[tuple[int, U8, U8]]:
        """Yield (tick, sent, shown) for every sent frame.

        Where nothing was drawn for a tick the last picture stands, as it did on the screen;
        before the first one there is grey.
        """
        right: U8 | None = None
        for tick in sorted(self._sent):
            left = _unpack(self._sent[tick])
            if tick in self._shown:
                right = _unpack(self._shown[tick])
            yield tick, left, np.full_like(left, _GREY) if right is None else right

    def contact_sheet(self, path: Path, columns: int = 8) -> None:
        """Write a PNG: ``columns`` moments evenly over the call, sent above shown."""
        ticks = sorted(self._sent)
        if not ticks:
            raise InputError(f"expected frames with a face for {path.name}, found none")
        chosen = {ticks[index] for index in np.linspace(0, len(ticks) - 1, columns).astype(int)}
        stacks = [np.vstack([left, right]) for tick, left, right in self.pairs() if tick in chosen]
        sheet = np.hstack(stacks)[:, :, ::-1]
        if not cv2.imwrite(str(path), np.ascontiguousarray(sheet)):
            raise InputError(f"expected a picture path to write, found {path}")

    def _keep(self, side: dict[int, bytes], tick: int, picture: U8) -> None:
        if len(side) < self._limit:
            side[tick] = _pack(picture)


def _pack(picture: U8) -> bytes:
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


def _unpack(data: bytes) -> U8:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(picture, np.uint8)[:, :, ::-1])
