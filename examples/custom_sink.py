# SPDX-License-Identifier: Apache-2.0
"""A sink of one's own: how much pictures change. Alone it draws two seconds: custom_sink.py CSV"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder
from talkcodec.media.sinks import ShownFrame, open_sink, register_sink
from talkcodec.media.sources import builtin_source


class Changes:
    """Writes the time of each picture, how it came, and the mean change, as CSV."""

    def __init__(self, path: str, _tick_rate: Fraction) -> None:
        self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115  ``close`` closes it
        self._last = np.zeros((), np.uint8)
        self.close = self._file.close

    def show(self, frame: ShownFrame) -> None:
        """Compare ``frame`` with the last one; called at its time, on the receiver's thread."""
        change = np.abs(frame.picture.astype(int) - self._last).mean()
        self._file.write(f"{frame.time:.3f},{frame.mode},{change:.2f}\n")
        self._last = frame.picture


register_sink("changes", Changes)  # from now on ``open_sink("changes:NAME.csv", rate)`` works

if __name__ == "__main__":
    encoder, decoder = Encoder(), Decoder()
    with open_sink(f"changes:{sys.argv[1]}", Fraction(25)) as sink:
        decoder.receive(encoder.header().data)
        for packet in (p for frame in builtin_source(2) for p in encoder.encode(frame)):
            for drawn in decoder.decode(packet.data):
                sink.show(ShownFrame(drawn.picture, drawn.tick, drawn.tick / 25))
