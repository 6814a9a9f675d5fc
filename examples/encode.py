# SPDX-License-Identifier: Apache-2.0
"""Encode a video: ``python examples/encode.py IN OUT.tkc``."""

from __future__ import annotations

import sys
from pathlib import Path

from talkcodec.bitstream import TkcWriter
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.face import open_tracker
from talkcodec.media.reader import VideoReader


def main(source: str, output: str) -> None:
    """Write the packets of ``source`` to ``output``."""
    with (
        VideoReader(source) as frames,
        open_tracker() as tracker,
        Path(output).open("wb") as file,
        TkcWriter(file) as writer,
    ):
        encoder = Encoder(EncoderConfig(tick_rate=frames.info.tick_rate), tracker)
        writer.write(encoder.header())
        for frame in frames:
            for packet in encoder.encode(frame):
                writer.write(packet)
        for packet in encoder.flush():
            writer.write(packet)
    print(f"{output}: {Path(output).stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
