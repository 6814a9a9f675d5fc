# SPDX-License-Identifier: Apache-2.0
"""Opus for a slow link: mono, at a rate of our choice, where aiortc's own takes 96 kbit/s."""

from __future__ import annotations

from fractions import Fraction

import av

from talkcodec.media.sound import BLOCK, I16, RATE, audio_frame

#: Samples by which decoded sound lags behind what was encoded, at 48 kHz.
LOOKAHEAD = 312


class OpusEncoder:
    """Encodes packets of ``blocks`` of 20 ms, 1 to 3, one by one. ``rate``: bits per second."""

    def __init__(self, rate: int = 20_000, blocks: int = 1) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.bit_rate = rate
        codec.format, codec.layout, codec.sample_rate = "s16", "mono", RATE
        codec.time_base = Fraction(1, RATE)
        codec.options = {
            "application": "voip",
            "vbr": "constrained",
            "frame_duration": str(20 * blocks),
        }
        self._codec = codec
        self._samples = blocks * BLOCK
        self._count = 0

    def encode(self, samples: I16) -> bytes:
        """Return the packet of ``samples``, int16 (960 · blocks,)."""
        if samples.shape != (self._samples,):
            raise ValueError(f"expected {self._samples} samples, found {samples.shape}")
        packets = self._codec.encode(audio_frame(samples, self._count))
        self._count += self._samples
        return b"".join(bytes(packet) for packet in packets)
