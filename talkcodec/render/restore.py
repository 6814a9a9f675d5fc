# SPDX-License-Identifier: Apache-2.0
"""Decoded reference pictures, nearer to what the camera saw.

A network puts back what a coarse quantiser took; it runs once for every reference. It changes
pixels only: no bit of a stream depends on it, and the prediction of a chain goes on from what the
picture codec itself decoded.
"""

from __future__ import annotations

import numpy as np

from talkcodec import weights
from talkcodec.render.cells import planes
from talkcodec.render.engine import EngineName, Precision
from talkcodec.types import U8

#: Pixels at a tile's edge that see too little around them: two for each of the network's ten
#: convolutions at half resolution, and one for the last.
HALO = 22


class Restorer:
    """Restores pictures of the network's size, or larger ones tile by tile."""

    def __init__(self, engine: EngineName = "auto", precision: Precision = "auto") -> None:
        self._engine = weights.open_network("restorer", engine, precision)
        self._side = self._engine.inputs["picture"][-1]

    def __call__(self, picture: U8) -> U8:
        """Return ``picture``, uint8 (S, S, 3), restored; smaller ones than a tile as they are."""
        side, tile = picture.shape[0], self._side
        if side < tile:
            return picture
        if side == tile:
            return self._run(picture)
        out = np.empty_like(picture)
        starts = tile_starts(side, tile)
        for top in starts:
            for left in starts:
                restored = self._run(picture[top : top + tile, left : left + tile])
                # A tile's edge is another tile's inside, except at the picture's own edge.
                y, x = (HALO if start else 0 for start in (top, left))
                out[top + y : top + tile, left + x : left + tile] = restored[y:, x:]
        return out

    def _run(self, picture: U8) -> U8:
        found = self._engine.run({"picture": planes(picture)[None]})["restored"][0]
        return np.ascontiguousarray(
            np.rint(np.clip(found, 0, 255)).astype(np.uint8).transpose(1, 2, 0)
        )

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._engine.close()


def tile_starts(side: int, tile: int) -> list[int]:
    """Return where tiles begin that cover ``side`` evenly and overlap by two halos at least."""
    count = -(-(side - 2 * HALO) // (tile - 2 * HALO))
    return [round(start) for start in np.linspace(0, side - tile, count)]
