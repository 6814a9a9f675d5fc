# SPDX-License-Identifier: Apache-2.0
"""VP8 for a slow link: what aiortc's own encoder, which starts at 250 kbit/s, is not made for."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from talkcodec.types import U8

#: A key picture may take so many times the bits of a mean one: it is what the viewer waits for.
_KEY_SHARE = 800


class Vp8Encoder:
    """Encodes pictures of one size one by one, at a rate that may change meanwhile.

    ``rate``: bits per second at ``frame_rate`` pictures a second, held by dropping quality, never
    pictures.
    """

    def __init__(self, rate: int, frame_rate: Fraction) -> None:
        self.rate = rate
        self._frame_rate = frame_rate
        self._codec: VideoCodecContext | None = None
        # Kept, because making one takes longer than its work: 2 ms against 0.15.
        self._reformatter = VideoReformatter()
        self._count = 0

    def encode(self, picture: U8, *, key: bool = False) -> bytes:
        """Return one VP8 frame of ``picture``, uint8 (H, W, 3) RGB of even height and width.

        ``key``: make it decodable by itself, as the first one and the first of a new rate are.
        """
        height, width = picture.shape[:2]
        codec = self._codec
        if codec is None or (codec.width, codec.height, codec.bit_rate) != (
            width,
            height,
            self.rate,
        ):
            codec = self._codec = self._open(width, height)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = self._reformatter.reformat(frame, format="yuv420p")
        frame.pts, frame.time_base = self._count, 1 / self._frame_rate
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._count += 1
        return b"".join(bytes(packet) for packet in codec.encode(frame))

    def _open(self, width: int, height: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = self.rate
        codec.framerate, codec.time_base = self._frame_rate, 1 / self._frame_rate
        codec.gop_size = 1 << 20
        codec.thread_count = 1
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "minrate": str(self.rate),
            "maxrate": str(self.rate),
            "bufsize": str(self.rate),
            "max-intra-rate": str(_KEY_SHARE),
            "error-resilient": "default",
            "qmin": "4",
            "qmax": "63",
        }
        return codec
