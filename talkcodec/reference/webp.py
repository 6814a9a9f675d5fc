# SPDX-License-Identifier: Apache-2.0
"""References as WebP, for builds of PyAV without AV1: 1.3 times the bytes, no prediction.

Data: the VP8 key frame alone, without the 20 bytes of RIFF around it.
"""

from __future__ import annotations

import io
import struct

import numpy as np

from talkcodec.errors import BitstreamError, TruncatedError
from talkcodec.reference.codec import (
    CodecId,
    EncodedPicture,
    check_data,
    check_picture,
    check_side,
)
from talkcodec.types import U8

#: Pillow's scale: 0 (worst) to 100. As good as the AV1 default by LPIPS, at 2.8 kB for 256².
QUALITY = 45

#: The same for slow paths.
COARSE = 22

_RIFF_BYTES = 20


class WebPEncoder:
    """Codes pictures of ``side`` pixels, each by itself."""

    codec = CodecId.WEBP

    def __init__(self, side: int, quality: int = QUALITY) -> None:
        self._side = check_side(side)
        self._quality = quality

    def encode(self, picture: U8, *, key: bool = False) -> EncodedPicture:
        """Code ``picture``: see :class:`~talkcodec.reference.codec.PictureEncoder`."""
        from PIL import Image

        del key  # every WebP picture is one
        check_picture(picture, self._side)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "WEBP", quality=self._quality, method=6)
        riff = buffer.getvalue()
        if riff[12:16] != b"VP8 ":
            raise BitstreamError(f"expected a VP8 picture from the encoder, found {riff[12:16]!r}")
        (length,) = struct.unpack_from("<I", riff, 16)
        return EncodedPicture(riff[_RIFF_BYTES : _RIFF_BYTES + length], True, self._quality)

    def close(self) -> None:
        """Do nothing: no picture outlives its call."""


class WebPDecoder:
    """Decodes pictures of ``side`` pixels."""

    def __init__(self, side: int) -> None:
        self._side = check_side(side)

    def decode(self, data: bytes, *, key: bool, sequence: int | None = None) -> U8:
        """Decode ``data``: see :class:`~talkcodec.reference.codec.PictureDecoder`."""
        from PIL import Image

        del sequence  # no picture needs another
        check_data(data)
        if not key:
            raise BitstreamError("expected a key picture, found another in WebP")
        self._check_size(data)
        padded = data + b"\0" * (len(data) % 2)
        riff = b"RIFF" + struct.pack("<I", 12 + len(padded)) + b"WEBPVP8 "
        riff += struct.pack("<I", len(data)) + padded
        try:
            with Image.open(io.BytesIO(riff), formats=("WEBP",)) as image:
                picture = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, EOFError) as error:
            raise BitstreamError("expected a WebP picture, found other bytes") from error
        return check_decoded(picture, self._side)

    def _check_size(self, data: bytes) -> None:
        """Refuse another size, as the VP8 frame header tells it, before anything is decoded."""
        if len(data) < 10:
            raise TruncatedError(f"expected 10 bytes of VP8 header, found {len(data)}")
        if data[3:6] != b"\x9d\x01\x2a":
            raise BitstreamError(f"expected the VP8 start code, found {data[3:6].hex()}")
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 6))
        if (width, height) != (self._side, self._side):
            raise BitstreamError(
                f"expected a picture of side {self._side}, found {(width, height)}"
            )


def check_decoded(picture: U8, side: int) -> U8:
    """Return ``picture`` if it is (side, side, 3), else raise ``BitstreamError``."""
    if picture.shape != (side, side, 3):
        raise BitstreamError(f"expected a picture of side {side}, found {picture.shape}")
    return picture
