# SPDX-License-Identifier: Apache-2.0
"""Opus for a slow link: mono, at a rate of our choice, where aiortc's own takes 96 kbit/s."""

from __future__ import annotations

from fractions import Fraction

import av

from talkcodec.media.sound import BLOCK, I16, RATE, audio_frame

#: Samples by which decoded sound lags behind what was encoded, at 48 kHz.
LOOKAHEAD = 312


class OpusEncoder:
    """Encodes blocks of 20 ms one by one. ``rate``: bits per second."""

    def __init__(self, rate: int = 20_000) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.bit_rate = rate
        codec.format, codec.layout, codec.sample_rate = "s16", "mono", RATE
        codec.time_base = Fraction(1, RATE)
        codec.options = {"application": "voip", "vbr": "constrained", "frame_duration": "20"}
        self._codec = codec
        self._count = 0

    def encode(self, samples: I16) -> bytes:
        """Return the packet of ``samples``, int16 (960,)."""
        if samples.shape != (BLOCK,):
            raise ValueError(f"expected {BLOCK} samples, found {samples.shape}")
        packets = self._codec.encode(audio_frame(samples, self._count))
        self._count += BLOCK
        return b"".join(bytes(packet) for packet in packets)
