# SPDX-License-Identifier: Apache-2.0
"""Our codec behind the interface of the classical ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from talkcodec.bench.codecs import CodecRun
from talkcodec.clock import Stopwatch
from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.errors import InputError
from talkcodec.types import U8, Frame, Packet

#: The point that is compared at one rate: the codec as it ships.
DEFAULT_POINT = 100


class OurCodec:
    """Encoder and decoder back to back, without loss.

    A point is the rate allowed for references after the first, in % of the shipped one: what
    our quality depends on most.
    """

    name = "talkcodec"
    points = (25, DEFAULT_POINT, 400)

    def __init__(self, config: EncoderConfig | None = None) -> None:
        self._config = config or EncoderConfig()
        self.stopwatch = Stopwatch()

    def settings(self, point: int) -> str:
        return repr(self._at(point, self._config.tick_rate, self._config.size))

    def encode_decode(self, frames: Sequence[U8], fps: Fraction, point: int) -> CodecRun:
        encoder = Encoder(self._at(point, fps, frames[0].shape[0]), stopwatch=self.stopwatch)
        packets = [encoder.header()]
        for index, picture in enumerate(frames):
            packets += encoder.encode(Frame(picture, index, 1 / fps))
        packets += encoder.flush()
        shown = self._decode(packets)
        if not shown:
            raise InputError(f"expected a face in {len(frames)} frames, found none")
        first = shown[min(shown)]
        pictures: list[U8] = []
        for tick in range(len(frames)):
            # A receiver without a new picture goes on showing the last one.
            pictures.append(shown.get(tick, pictures[-1] if pictures else first))
        sizes = [len(packet.data) for packet in packets]
        kinds = tuple(packet.kind for packet in packets)
        return CodecRun(pictures, sizes, kinds, len(frames) - len(shown))

    def _decode(self, packets: Sequence[Packet]) -> dict[int, U8]:
        """Return the pictures by tick."""
        decoder = Decoder(stopwatch=self.stopwatch)
        return {
            frame.tick: frame.picture for packet in packets for frame in decoder.decode(packet.data)
        }

    def _at(self, point: int, fps: Fraction, size: int) -> EncoderConfig:
        refresh = self._config.refresh
        refresh = replace(
            refresh,
            rate=refresh.rate * point / DEFAULT_POINT,
            burst=refresh.burst * point / DEFAULT_POINT,
        )
        return replace(self._config, size=size, tick_rate=fps, refresh=refresh)
