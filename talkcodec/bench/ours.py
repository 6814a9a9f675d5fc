# SPDX-License-Identifier: Apache-2.0
"""Our codec behind the interface of the classical ones, as a file and as a call.

*File*: the encoder's defaults. Packets carry no copy of the group before them, and a reference
may be drawn from at once, as if it took no time to travel. It is what the codec itself can do and
what a ``.tkc`` holds. *Call*: what is sent over a network that loses and delays. Redundancy rides
along, and a reference is drawn from only once its acknowledgement is back. Neither loses packets
here, and the time until the first picture is not scored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

from talkcodec.bench.codecs import CodecRun
from talkcodec.bitstream import Reference
from talkcodec.clock import Stopwatch
from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.errors import InputError
from talkcodec.face import DEFAULT_TRACKER, open_tracker
from talkcodec.names import DEFAULT_RENDERER, RendererName
from talkcodec.types import U8, Frame, Packet

#: The point that is compared at one rate: the codec as it ships.
DEFAULT_POINT = 100

#: Seconds from a reference to its acknowledgement in a call: 0.1 s of round trip, and 1.6 kB at
#: the 64 kbit/s with which a call begins to send references. Larger ones take longer.
ACKNOWLEDGED_AFTER = Fraction(3, 10)


class OurCodec:
    """Encoder and decoder back to back, without loss.

    A point is the rate allowed for references after the first, in % of the shipped one: what
    our quality depends on most. ``acknowledged_after``: seconds until the encoder hears that a
    reference arrived; without effect unless ``config.acknowledged``. ``tracker``: name of the
    face tracker. ``renderer``: what draws, at the receiver and in the sender's own foresight.
    """

    name = "talkcodec"
    points = (25, DEFAULT_POINT, 400)

    def __init__(
        self,
        config: EncoderConfig | None = None,
        acknowledged_after: Fraction = ACKNOWLEDGED_AFTER,
        tracker: str = DEFAULT_TRACKER,
        renderer: RendererName = DEFAULT_RENDERER,
    ) -> None:
        self._config = replace(config or EncoderConfig(), renderer=renderer)
        self._acknowledged_after = acknowledged_after
        self._tracker = tracker
        self.stopwatch = Stopwatch()

    @classmethod
    def call(
        cls, tracker: str = DEFAULT_TRACKER, renderer: RendererName = DEFAULT_RENDERER
    ) -> OurCodec:
        """Return the codec as a call uses it."""
        config = EncoderConfig(acknowledged=True, redundancy=True)
        return cls(config, tracker=tracker, renderer=renderer)

    def settings(self, point: int) -> str:
        config = self._at(point, self._config.tick_rate, self._config.size)
        return f"{config!r} acknowledged after {self._acknowledged_after} s {self._tracker}"

    def encode_decode(self, frames: Sequence[U8], fps: Fraction, point: int) -> CodecRun:
        config = self._at(point, fps, frames[0].shape[0])
        with closing(open_tracker(self._tracker)) as tracker:
            packets = self._encode(Encoder(config, tracker, self.stopwatch), frames, fps)
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

    def _encode(self, encoder: Encoder, frames: Sequence[U8], fps: Fraction) -> list[Packet]:
        """Return all packets; the encoder hears of each reference's arrival when it is due."""
        packets = [encoder.header()]
        answers: deque[tuple[Fraction, int]] = deque()
        for index, picture in enumerate(frames):
            now = index / fps
            while answers and answers[0][0] <= now:
                encoder.acknowledge(answers.popleft()[1])
            for packet in encoder.encode(Frame(picture, index, 1 / fps)):
                packets.append(packet)
                if packet.kind == "reference":
                    sequence = Reference.parse(packet.data).sequence
                    answers.append((now + self._acknowledged_after, sequence))
        return packets + encoder.flush()

    def _decode(self, packets: Sequence[Packet]) -> dict[int, U8]:
        """Return the pictures by tick."""
        decoder = Decoder(self.stopwatch, self._config.renderer)
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
