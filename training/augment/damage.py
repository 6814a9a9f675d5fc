# SPDX-License-Identifier: Apache-2.0
"""What lens, sensor and an earlier codec do: blur, motion blur, noise, H.264 and VP8 artefacts."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from talkcodec.types import U8

Random = np.random.Generator


def blur(picture: U8, random: Random) -> U8:
    """Defocus: a Gaussian of 0.5 to 2 pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), random.uniform(0.5, 2)), np.uint8)


def motion_blur(picture: U8, random: Random) -> U8:
    """A straight shake of 3 to 11 pixels during the exposure."""
    length = int(random.integers(3, 12))
    angle = random.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    half = (length - 1) / 2
    reach = half * np.array([np.cos(angle), np.sin(angle)])
    start, end = (half - reach).round().astype(int), (half + reach).round().astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def noise(picture: U8, random: Random) -> U8:
    """Sensor noise of 2 to 20 grey levels."""
    grain = random.standard_normal(picture.shape, np.float32) * random.uniform(2, 20)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def low_resolution(picture: U8, random: Random) -> U8:
    """A small picture enlarged: 25 to 70 % of the side."""
    height, width = picture.shape[:2]
    share = random.uniform(0.25, 0.7)
    small = cv2.resize(
        picture,
        (max(int(width * share), 8), max(int(height * share), 8)),
        interpolation=cv2.INTER_AREA,
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def vp8(picture: U8, random: Random) -> U8:
    """A VP8 key frame, which is what lossy WebP holds, at quality 1 to 30."""
    quality = int(random.integers(1, 31))
    _, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def h264(picture: U8, random: Random) -> U8:
    """An H.264 key frame at quantiser 32 to 45: about 40 kbit/s for a talking head."""
    return h264_frames([picture], int(random.integers(32, 46)))[0]


def h264_frames(pictures: list[U8], quantiser: int) -> list[U8]:
    """Code ``pictures``, uint8 (H, W, 3) with even sides, by x264 at a fixed quantiser."""
    height, width = pictures[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "qp": str(quantiser)}
    return through(encoder, pictures)


def through(encoder: VideoCodecContext, pictures: list[U8]) -> list[U8]:
    """Code ``pictures``, uint8 (H, W, 3) with even sides, by an H.264 ``encoder`` and back."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    out: list[U8] = []
    for index, picture in enumerate([*pictures, None]):
        frame = None
        if picture is not None:
            # OpenCV converts colours in a tenth of the time that swscale takes to set itself up.
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts = index
        for packet in encoder.encode(frame):
            out += [_rgb(f) for f in decoder.decode(packet)]
    out += [_rgb(f) for f in decoder.decode(None)]
    return out


def _rgb(frame: av.VideoFrame) -> U8:
    return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2RGB_I420), np.uint8)
