# SPDX-License-Identifier: Apache-2.0
"""A sink of one's own: how much each picture of a call differs from the one before.

``open_sink("changes:NAME.csv", rate)`` works wherever talkcodec takes the name of a sink, once this
module is imported. Run alone it feeds the sink what a decoder draws: custom_sink.py NAME.csv
"""

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
        self._last: np.ndarray | None = None

    def show(self, frame: ShownFrame) -> None:
        """Compare ``frame`` with the last one; called at its time, on the receiver's thread."""
        picture = frame.picture.astype(np.int16)
        if self._last is not None:
            change = np.abs(picture - self._last).mean()
            self._file.write(f"{frame.time:.3f},{frame.mode},{change:.2f}\n")
        self._last = picture

    def close(self) -> None:
        self._file.close()


register_sink("changes", Changes)

if __name__ == "__main__":
    encoder, decoder = Encoder(), Decoder()
    with open_sink(f"changes:{sys.argv[1]}", Fraction(25)) as sink:
        packets = [encoder.header()]
        for frame in builtin_source(2):
            packets += encoder.encode(frame)
        for packet in packets:
            for drawn in decoder.decode(packet.data):
                sink.show(ShownFrame(drawn.picture, drawn.tick, drawn.tick / 25))
