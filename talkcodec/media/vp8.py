# SPDX-License-Identifier: Apache-2.0
"""VP8 for a slow link: what aiortc's own encoder, which starts at 250 kbit/s, is not made for."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import Interpolation, VideoReformatter

from talkcodec.types import U8

#: A key picture, which is what the viewer waits for, may take the bits of so many seconds.
_KEY_SECONDS = 0.32


def is_key(data: bytes) -> bool:
    """Return whether a VP8 frame can be decoded by itself (RFC 6386 section 9.1)."""
    return bool(data) and not data[0] & 1


class Vp8Encoder:
    """Encodes pictures of one size one by one, at a rate that may change meanwhile.

    ``rate``: bits per second at ``frame_rate`` pictures a second, held by dropping quality, never
    pictures: at its coarsest it takes more than a low rate. ``side``: pixels of the longer side of
    what is encoded; larger pictures are reduced. None: all of them as they are.
    """

    def __init__(self, rate: int, frame_rate: Fraction, side: int | None = None) -> None:
        self.rate = rate
        self.frame_rate = frame_rate
        self.side = side
        self._settings: tuple[int, int, int, Fraction] | None = None
        self._codec: VideoCodecContext | None = None
        # Kept, because making one takes longer than its work: 2 ms against 0.15.
        self._reformatter = VideoReformatter()
        self._count = 0

    def encode(self, picture: U8, *, key: bool = False) -> bytes:
        """Return one VP8 frame of ``picture``, uint8 (H, W, 3) RGB of even height and width.

        ``key``: make it decodable by itself, as the first one and the first of a new rate are.
        """
        height, width = self._sides(picture)
        settings = width, height, self.rate, self.frame_rate
        codec = self._codec
        if codec is None or settings != self._settings:
            codec = self._codec = self._open(width, height)
            self._settings, self._count = settings, 0
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = self._reformatter.reformat(
            frame, width, height, "yuv420p", interpolation=Interpolation.AREA
        )
        frame.pts, frame.time_base = self._count, 1 / self.frame_rate
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._count += 1
        return b"".join(bytes(packet) for packet in codec.encode(frame))

    def _sides(self, picture: U8) -> tuple[int, int]:
        """Return the height and width in pixels, even, at which ``picture`` is encoded."""
        height, width = picture.shape[:2]
        longer = max(height, width)
        if self.side is None or longer <= self.side:
            return height, width
        return tuple(max(round(each * self.side / longer / 2), 1) * 2 for each in (height, width))

    def _open(self, width: int, height: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = self.rate
        codec.framerate, codec.time_base = self.frame_rate, 1 / self.frame_rate
        codec.gop_size = 1 << 20
        codec.thread_count = 1
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "minrate": str(self.rate),
            "maxrate": str(self.rate),
            "bufsize": str(self.rate),
            "max-intra-rate": str(round(100 * _KEY_SECONDS * self.frame_rate)),
            "error-resilient": "default",
            "qmin": "4",
            "qmax": "63",
        }
        return codec
