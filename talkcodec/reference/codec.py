# SPDX-License-Identifier: Apache-2.0
"""What a picture codec is: square RGB pictures in, short byte strings out, and back.

Encoders and decoders are stateful, because a reference may be coded as a difference from the
one before it: the references of a call form *chains*. A key picture starts a chain and decodes
by itself; every other picture needs all pictures of its chain before it, in order. Codecs
without prediction (WebP) make key pictures only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from talkcodec.errors import BitstreamError, InputError, MissingReference
from talkcodec.types import U8

#: Longest coded picture a decoder looks at, in bytes: 512² at the finest quality needs half.
MAX_PICTURE_BYTES = 1 << 18

#: Sides of pictures that may be coded, in pixels.
MIN_SIDE, MAX_SIDE = 32, 1024


class CodecId(IntEnum):
    """Picture codec as named in a reference message."""

    AV1 = 1
    WEBP = 2


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A coded picture.

    ``data``: the bytes of a reference message's picture field. ``key``: whether it decodes by
    itself. ``quality``: the quantiser that was used, on the codec's own scale.
    """

    data: bytes
    key: bool
    quality: int

    def __repr__(self) -> str:
        kind = "key" if self.key else "inter"
        return f"EncodedPicture({len(self.data)} bytes, {kind}, quality={self.quality})"


class PictureEncoder(Protocol):
    """Codes the pictures of one chain after another."""

    @property
    def codec(self) -> CodecId:
        """Id that tells the receiver which decoder to open."""

    def encode(self, picture: U8, *, key: bool = False) -> EncodedPicture:
        """Code ``picture``: uint8 (S, S, 3) RGB with the S the encoder was opened for.

        ``key`` starts a new chain; the result is a key picture too where the codec has no
        other choice. Raises ``InputError`` for a picture of another shape.
        """

    def close(self) -> None:
        """Free what the codec holds; the next picture, if any, is a key picture."""


class PictureDecoder(Protocol):
    """Decodes the pictures of one chain after another."""

    def decode(self, data: bytes, *, key: bool, sequence: int | None = None) -> U8:
        """Return the picture: uint8 (S, S, 3) RGB with the S the decoder was opened for.

        ``data`` may be any bytes. ``sequence``: number of the reference (0 to 255), used to
        notice that a picture of the chain is missing; ``None`` when the caller has seen to
        order and completeness. Raises ``MissingReference`` when the chain before this picture
        is not complete, ``BitstreamError`` for bytes that are not a picture of this size.
        """


class ChainGuard:
    """Knows whether the next picture of a chain can be decoded.

    Chains consist of references with consecutive sequence numbers (modulo 256).
    """

    def __init__(self) -> None:
        self._intact = False
        self._last: int | None = None

    def enter(self, *, key: bool, sequence: int | None) -> None:
        """Check that a picture may be decoded now; until :meth:`leave` the chain is broken."""
        if not key:
            if not self._intact:
                raise MissingReference("expected a key picture, found one of a broken chain")
            if sequence is not None and self._last is not None:
                expected = (self._last + 1) % 256
                if sequence != expected:
                    # The chain itself is unharmed: the missing picture may still arrive.
                    raise MissingReference(f"expected picture {expected}, found {sequence}")
        self._intact = False

    def leave(self, sequence: int | None) -> None:
        """Record that the picture was decoded."""
        self._intact = True
        self._last = sequence


def check_side(side: int) -> int:
    """Return ``side`` if pictures of that size can be coded, else raise ``InputError``."""
    if not MIN_SIDE <= side <= MAX_SIDE or side % 2:
        raise InputError(f"expected an even side of {MIN_SIDE} to {MAX_SIDE}, found {side}")
    return side


def check_picture(picture: U8, side: int) -> U8:
    """Return ``picture`` if it is uint8 (side, side, 3), else raise ``InputError``."""
    if picture.dtype != np.uint8 or picture.shape != (side, side, 3):
        raise InputError(
            f"expected a picture of uint8 {(side, side, 3)}, found {picture.dtype} {picture.shape}"
        )
    return picture


def check_data(data: bytes) -> bytes:
    """Return ``data`` if a decoder should look at it, else raise ``BitstreamError``."""
    if not 0 < len(data) <= MAX_PICTURE_BYTES:
        raise BitstreamError(
            f"expected a picture of 1 to {MAX_PICTURE_BYTES} bytes, found {len(data)}"
        )
    return data


def open_encoder(codec: CodecId, side: int, *, coarse: bool = False) -> PictureEncoder:
    """Open the encoder of ``codec`` for pictures of ``side`` pixels with default settings.

    ``coarse``: for slow paths, two thirds of the bytes or fewer.
    """
    if codec == CodecId.AV1:
        from talkcodec.reference import av1

        if coarse:
            return av1.Av1PictureEncoder(side, *av1.COARSE, most=av1.COARSE_BYTES)
        return av1.Av1PictureEncoder(side)
    from talkcodec.reference import webp

    return webp.WebPEncoder(side, webp.COARSE if coarse else webp.QUALITY)


def open_decoder(codec: int, side: int) -> PictureDecoder:
    """Open the decoder for a codec id found in a stream; ``BitstreamError`` for unknown ids."""
    if codec == CodecId.AV1:
        from talkcodec.reference.av1 import Av1PictureDecoder

        return Av1PictureDecoder(side)
    if codec == CodecId.WEBP:
        from talkcodec.reference.webp import WebPDecoder

        return WebPDecoder(side)
    raise BitstreamError(f"expected picture codec 1 (AV1) or 2 (WebP), found {codec}")
