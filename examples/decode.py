# SPDX-License-Identifier: Apache-2.0
"""Decode a file: ``python examples/decode.py IN.tkc OUT.mp4``."""

from __future__ import annotations

import sys
from pathlib import Path

from talkcodec.bitstream import TkcReader
from talkcodec.decoder import Decoder
from talkcodec.media.writer import VideoWriter


def main(source: str, output: str) -> None:
    """Draw the packets of ``source`` and write the pictures to ``output``."""
    with Path(source).open("rb") as file:
        packets = TkcReader(file)
        decoder = Decoder()
        with VideoWriter(output, packets.header.tick_rate, synthesised=True) as writer:
            for packet in packets:
                for frame in decoder.decode(packet.data):
                    writer.write(frame.picture, frame.tick)
    print(f"{output}: {Path(output).stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
