# SPDX-License-Identifier: Apache-2.0
"""Decoded reference pictures, nearer to what the camera saw.

A network puts back what a coarse quantiser took; it runs once for every reference, 20 to 40 ms at
256². Sender and receiver both draw from restored pictures, so that analysis by synthesis sees what
is shown. It changes pixels only: no bit of a stream depends on it, and the prediction of a chain
goes on from what the picture codec itself decoded.
"""

from __future__ import annotations

import numpy as np

from talkcodec import weights
from talkcodec.reference.codec import PictureDecoder
from talkcodec.render.engine import FORMATS, EngineName, choose, open_engine
from talkcodec.types import U8

#: Pixels at a tile's edge that see too little around them to be used.
HALO = 22


class Restorer:
    """Restores pictures of the network's size, or larger ones tile by tile."""

    def __init__(self, engine: EngineName = "auto") -> None:
        model = weights.path("restorer" + FORMATS[choose(engine)]).read_bytes()
        self._engine = open_engine(model, name=engine)
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
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        found = self._engine.run({"picture": planes})["restored"][0]
        return np.ascontiguousarray(
            np.rint(np.clip(found, 0, 255)).astype(np.uint8).transpose(1, 2, 0)
        )

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._engine.close()


class RestoringDecoder:
    """A ``PictureDecoder`` whose pictures are restored."""

    def __init__(self, decoder: PictureDecoder, restorer: Restorer) -> None:
        self._decoder, self._restorer = decoder, restorer

    def decode(self, data: bytes, *, key: bool, sequence: int | None = None) -> U8:
        """Decode ``data``: see :class:`~talkcodec.reference.codec.PictureDecoder`."""
        return self._restorer(self._decoder.decode(data, key=key, sequence=sequence))


def tile_starts(side: int, tile: int) -> list[int]:
    """Return where tiles begin that cover ``side`` evenly and overlap by a halo each at least."""
    count = -(-(side - 2 * HALO) // (tile - 2 * HALO))
    return [round(start) for start in np.linspace(0, side - tile, count)]
