# SPDX-License-Identifier: Apache-2.0
"""Classical codecs through PyAV, behind the interface that ours is measured through too.

Two sets. *Call*: what a call may use, every frame leaves before the next one arrives, one key
frame at the start. *Offline*: the best these encoders do when they may look ahead and take their
time; no call can have that, it shows how much of the gap is delay and effort.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal, Protocol, cast

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from talkcodec.bench.framing import PAYLOAD_HEADER, uncarried_bytes
from talkcodec.bench.rates import Rate, rtp_rate
from talkcodec.errors import InputError
from talkcodec.reference.scheduling import ordinary_priority
from talkcodec.reference.watched import Stalled, within
from talkcodec.types import U8, PacketKind

Mode = Literal["call", "offline"]


@dataclass(frozen=True, slots=True)
class CodecRun:
    """What came out of one encode and decode.

    ``frames``: uint8 (H, W, 3) RGB, one per input frame. ``packets``: bytes of each message in
    sending order; a classical codec sends one per frame. ``kinds``: of each message, ours only.
    ``held``: frames for which nothing was decoded, so that another one stayed on screen.
    """

    frames: list[U8]
    packets: list[int]
    kinds: tuple[PacketKind, ...] = ()
    held: int = 0


class VideoCodec(Protocol):
    """Anything that turns pictures into bytes and back."""

    @property
    def name(self) -> str:
        """Unique name, for tables and file names."""

    @property
    def points(self) -> tuple[int, ...]:
        """Operating points from the lowest rate to the highest."""

    def settings(self, point: int) -> str:
        """Describe everything that decides the output at ``point``; a cache key."""

    def encode_decode(self, frames: Sequence[U8], fps: Fraction, point: int) -> CodecRun:
        """Code ``frames`` at ``point`` and return the decoded pictures and the packet sizes."""


@dataclass(frozen=True)
class ClassicalCodec:
    """An FFmpeg encoder with fixed options and one number that sets its rate.

    ``options``: FFmpeg's, in which "{point}", "{crf}" (at most 63) and "{maxrate}" are filled in.
    ``patience``: seconds after which an encoder that takes one frame is held to hang; one that
    looks ahead may do all of its work at the last.
    """

    name: str
    encoder: str
    decoder: str
    points: tuple[int, ...]
    options: Mapping[str, str]
    patience: float = 600.0

    def settings(self, point: int) -> str:
        options = sorted(self._filled(point).items())
        return f"{self.encoder} {av.__version__} {options} yuv420p as RTP carries it"

    def rate(self, packets: Sequence[int], seconds: float) -> Rate:
        """Return the mean rates of ``packets`` (bytes as RTP carries them) over RTP."""
        return rtp_rate(packets, seconds, PAYLOAD_HEADER[self.decoder])

    def encode_decode(self, frames: Sequence[U8], fps: Fraction, point: int) -> CodecRun:
        with silent_stderr():
            packets = self._encoded(frames, fps, point)
            decoded = self._decode(packets)
        if len(decoded) != len(frames):
            raise InputError(f"expected {len(frames)} frames from {self.name}, got {len(decoded)}")
        return CodecRun(
            decoded, [p.size - uncarried_bytes(bytes(p), self.decoder) for p in packets]
        )

    def _filled(self, point: int) -> dict[str, str]:
        # FFmpeg stops at crf 63, SVT-AV1 itself goes on to 70, where its lowest rates are.
        # Peaks are held to about twice the usual rate of a quality, over one second.
        maxrate = max(16, round(500 * 2 ** ((23 - point) / 6)))
        fill = {"point": point, "crf": min(point, 63), "maxrate": maxrate}
        options = {"threads": "1", **self.options}
        return {key: text.format(**fill) for key, text in options.items()}

    def _encoded(
        self, frames: Sequence[U8], fps: Fraction, point: int
    ) -> list[Packet[VideoStream]]:
        """Encode, and once more from the start if the encoder hangs."""
        try:
            return list(self._encode(frames, fps, point))
        except Stalled:
            return list(self._encode(frames, fps, point))

    def _encode(
        self, frames: Sequence[U8], fps: Fraction, point: int
    ) -> Iterator[Packet[VideoStream]]:
        context = cast("VideoCodecContext", av.CodecContext.create(self.encoder, "w"))
        context.height, context.width = frames[0].shape[:2]
        context.pix_fmt = "yuv420p"
        context.framerate = fps
        context.time_base = 1 / fps
        context.options = self._filled(point)
        for index, picture in enumerate([*frames, None]):
            frame = None
            if picture is not None:
                frame = VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, context.time_base
            yield from within(self.patience, partial(_send, context, frame))

    def _decode(self, packets: Sequence[Packet[VideoStream]]) -> list[U8]:
        context = cast("VideoCodecContext", av.CodecContext.create(self.decoder, "r"))
        context.thread_count = 1
        frames: list[U8] = []
        for packet in [*packets, None]:
            decoded = context.decode(packet)
            frames.extend(cast("U8", frame.to_ndarray(format="rgb24")) for frame in decoded)
        return frames


def _send(context: VideoCodecContext, frame: VideoFrame | None) -> list[Packet[VideoStream]]:
    # SVT-AV1 starts threads until its first packet, and makes this one real-time.
    with ordinary_priority():
        return context.encode(frame)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Point file descriptor 2 at nothing: SVT-AV1 and x265 write there past every log level."""
    sys.stderr.flush()
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


# About 5 to 300 kbit/s at 256², closest together where a call at a low rate would work.
_X26X_POINTS = (51, 47, 43, 39, 35, 31, 27, 23)
_SVT_POINTS = (70, 66, 63, 58, 53, 48, 43, 35)
_VP9_POINTS = (63, 60, 56, 52, 48, 44, 39)
_X265_QUIET = "pools=none:frame-threads=1:info=0:log-level=none"

_CALL = (
    ClassicalCodec(
        "x264",
        "libx264",
        "h264",
        _X26X_POINTS,
        {
            "preset": "medium",
            "tune": "zerolatency",
            "crf": "{crf}",
            "x264-params": "keyint=infinite:vbv-maxrate={maxrate}:vbv-bufsize={maxrate}",
        },
    ),
    # A call's link does not grant a quality, it grants a rate: the price of holding it.
    ClassicalCodec(
        "x264-abr",
        "libx264",
        "h264",
        (8, 12, 18, 27, 40, 60, 90, 135),
        {
            "preset": "medium",
            "tune": "zerolatency",
            "b": "{point}k",
            "x264-params": "keyint=infinite:vbv-maxrate={point}:vbv-bufsize={point}",
        },
    ),
    ClassicalCodec(
        "x265",
        "libx265",
        "hevc",
        _X26X_POINTS,
        {
            "preset": "medium",
            "tune": "zerolatency",
            "crf": "{crf}",
            "x265-params": ("keyint=-1:vbv-maxrate={maxrate}:vbv-bufsize={maxrate}:" + _X265_QUIET),
        },
    ),
    ClassicalCodec(
        "vp9",
        "libvpx-vp9",
        "vp9",
        _VP9_POINTS,
        {
            "deadline": "realtime",
            "cpu-used": "5",
            "lag-in-frames": "0",
            "b": "0",
            "g": "99999",
            "crf": "{crf}",
        },
    ),
    ClassicalCodec(
        "av1",
        "libsvtav1",
        "libdav1d",
        _SVT_POINTS,
        {
            "preset": "8",
            "crf": "{crf}",
            "svtav1-params": "crf={point}:pred-struct=1:keyint=-1:lp=1",
        },
        patience=20.0,
    ),
)

_OFFLINE = (
    ClassicalCodec(
        "x264-offline",
        "libx264",
        "h264",
        _X26X_POINTS,
        {"preset": "veryslow", "crf": "{crf}", "x264-params": "keyint=infinite"},
    ),
    ClassicalCodec(
        "x265-offline",
        "libx265",
        "hevc",
        _X26X_POINTS,
        {"preset": "veryslow", "crf": "{crf}", "x265-params": "keyint=-1:" + _X265_QUIET},
    ),
    ClassicalCodec(
        "vp9-offline",
        "libvpx-vp9",
        "vp9",
        _VP9_POINTS,
        {
            "deadline": "good",
            "cpu-used": "1",
            "lag-in-frames": "25",
            "auto-alt-ref": "1",
            "b": "0",
            "g": "99999",
            "crf": "{crf}",
        },
    ),
    ClassicalCodec(
        "av1-offline",
        "libsvtav1",
        "libdav1d",
        _SVT_POINTS,
        {
            "preset": "4",
            "crf": "{crf}",
            "svtav1-params": "crf={point}:keyint=-1:lp=1",
        },
    ),
)

NAMES = tuple(codec.name for codec in _CALL)
OFFLINE_NAMES = tuple(codec.name.removesuffix("-offline") for codec in _OFFLINE)


def classical(name: str, mode: Mode = "call") -> ClassicalCodec:
    """Return the codec called ``name`` with ``mode``'s settings.

    ``name``: one of :data:`NAMES`, or of :data:`OFFLINE_NAMES` for offline settings.
    """
    wanted = name if mode == "call" else f"{name}-offline"
    for codec in _CALL if mode == "call" else _OFFLINE:
        if codec.name == wanted:
            return codec
    names = NAMES if mode == "call" else OFFLINE_NAMES
    raise InputError(f"expected a codec out of {', '.join(names)}, found {name!r}")
