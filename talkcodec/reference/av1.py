# SPDX-License-Identifier: Apache-2.0
"""References as raw AV1: SVT-AV1 writes them, dav1d reads them, both through PyAV.

The encoder runs in low-delay mode and stays open for the whole chain, so that each picture
after the first is predicted from those before it, and its bytes are complete at once.

Data of a key picture: one byte n, n bytes of AV1 sequence header, the frame. n = 0 stands for
the header in :data:`SEQUENCE_HEADERS`. Data of any other picture: the frame. "Frame" is the
payload of the one OBU_FRAME of the picture's temporal unit; nothing else is sent.
"""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext, suppress
from fractions import Fraction
from math import ceil, log
from typing import TYPE_CHECKING, Literal

import numpy as np

from talkcodec.errors import BitstreamError, MissingDependency, TruncatedError
from talkcodec.reference import obu
from talkcodec.reference.codec import (
    ChainGuard,
    CodecId,
    EncodedPicture,
    check_data,
    check_picture,
    check_side,
)
from talkcodec.reference.scheduling import ordinary_priority
from talkcodec.reference.watched import PATIENCE, Stalled, within
from talkcodec.types import U8

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext

_log = logging.getLogger(__name__)

#: AV1 quantiser index (1 to 255) of key pictures and of the pictures predicted from them. At 120
#: a key picture of 256² takes 3.3 kB at LPIPS 0.020 and DISTS 0.053; at 150 it takes 2.2 kB at
#: 0.034 and 0.073 (training/RESULTS-references.md). The finer one costs a call of nine seconds
#: 0.9 kbit/s and is worth it: what a reference lacks, every frame drawn from it lacks. Restoring
#: does not change that, it is worth 15 indices at either. Later pictures are shown for a shorter
#: time, so theirs is coarser.
KEY_QUALITY = 115
INTER_QUALITY = 150

#: The same two for slow paths, where the picture would otherwise come late, and the bytes that a
#: key picture may take there: 40 kbit/s with 5 % loss carry so many beside motion in 1.1 s. The
#: busiest pictures (of 2 in 22 people) took 3.0 to 3.4 kB, and 1.4 to 2.2 s.
COARSE = (150, 165)
COARSE_BYTES = 2300

#: Part of the bytes that are left with an index 10 higher, and by how much it is raised at most.
_SHRINKS, _FURTHER = 0.86, 40

#: SVT-AV1's effort. A key picture of 256² takes 10 ms at 8, 18 at 6, 32 at 4; a predicted one 5,
#: 7, 12. For the same LPIPS 6 needs 8 % fewer bytes than 8, and 4 another 4 % fewer.
PRESET = 4

#: Sequence headers that SVT-AV1 4.1 writes for our settings, by side: too common to be sent.
SEQUENCE_HEADERS = {
    256: bytes.fromhex("00000003bffff9d5f20080"),
    512: bytes.fromhex("0000000c47fffe757c8020"),
}

#: One thread, every picture complete at once, no key pictures of the encoder's own choosing.
_STRUCTURE = "lp=1:pred-struct=1:keyint=-1:hierarchical-levels=2"
#: What lowers LPIPS and DISTS at equal bytes on faces, PSNR notwithstanding: spend on flat skin
#: rather than on busy hair, keep coefficients that sharpen, coarser steps for high frequencies,
#: do not smooth what was decoded. Together a quarter fewer bytes for the same LPIPS.
_TUNING = "enable-variance-boost=1:sharpness=7:ac-bias=2:enable-restoration=0:enable-qm=1:qm-min=6"

_DECODERS = ("libdav1d", "libaom-av1", "libgav1")


class Av1PictureEncoder:
    """Codes one chain of pictures of ``side`` pixels.

    ``key_quality``, ``inter_quality``: AV1 quantiser index, 1 (best) to 255. ``preset``:
    SVT-AV1's, 4 (slow) to 10 (fast). ``most``: bytes of a key picture; a larger one is coded once
    more, at an index up to 40 higher at which it should be no larger. Raises
    ``MissingDependency`` without SVT-AV1.
    """

    codec = CodecId.AV1

    def __init__(
        self,
        side: int,
        key_quality: int = KEY_QUALITY,
        inter_quality: int = INTER_QUALITY,
        preset: int = PRESET,
        most: int | None = None,
    ) -> None:
        self._side = check_side(side)
        self._most = most
        for quality in (key_quality, inter_quality):
            if not 1 <= quality <= 255:
                raise ValueError(f"expected a quantiser index of 1 to 255, found {quality}")
        if abs(key_quality - inter_quality) > 120:
            raise ValueError(
                f"expected quantiser indices at most 120 apart, "
                f"found {key_quality} and {inter_quality}"
            )
        self._key_quality = key_quality
        self._inter_quality = inter_quality
        self._preset = preset
        self._context: VideoCodecContext | None = None
        self._count = 0

    def encode(self, picture: U8, *, key: bool = False) -> EncodedPicture:
        """Code ``picture``: see :class:`~talkcodec.reference.codec.PictureEncoder`."""
        check_picture(picture, self._side)
        coded = self._code(picture, self._key_quality, key=key or self._context is None)
        if coded.key and self._most is not None and len(coded.data) > self._most:
            steps = log(self._most / len(coded.data)) / log(_SHRINKS)
            further = self._key_quality + min(ceil(10 * steps), _FURTHER)
            return self._code(picture, min(further, self._inter_quality + 120, 255), key=True)
        return coded

    def _code(self, picture: U8, quality: int, *, key: bool) -> EncodedPicture:
        """Code ``picture``, with ``quality`` if it is a key picture."""
        from av import VideoFrame

        if key:
            # A fresh context costs a few ms and is sure to start with a key frame.
            self.close()
            self._context = self._open(quality)
        assert self._context is not None
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        try:
            unit = self._encode(frame, key=key)
        except Stalled:
            # What is stuck is left behind; a chain that begins anew needs nothing of it.
            _log.warning("the AV1 encoder did not return: starting another one")
            key, self._context, self._count = True, self._open(quality), 0
            unit = self._encode(frame, key=key)
        header, payload = obu.split(unit)
        if not key:
            return EncodedPicture(payload, False, self._inter_quality)
        if header is None:
            raise BitstreamError("expected a sequence header from the AV1 encoder, found none")
        if header == SEQUENCE_HEADERS.get(self._side):
            header = b""
        return EncodedPicture(bytes([len(header)]) + header + payload, True, quality)

    def close(self) -> None:
        """End the chain: see :class:`~talkcodec.reference.codec.PictureEncoder`."""
        context, self._context = self._context, None
        if context is not None:
            # SVT-AV1 complains when freed before the stream's end.
            with suppress(Stalled):
                within(PATIENCE, lambda: context.encode(None))
        self._count = 0

    def _encode(self, frame: VideoFrame, *, key: bool) -> bytes:
        """Return the temporal unit of ``frame``.

        Raises:
            Stalled: the encoder hangs. Its context must not be used, or freed, any more.
        """
        context = self._context
        assert context is not None
        frame.pts = self._count
        self._count += 1

        def work() -> bytes:
            # SVT-AV1 opens, and starts all its threads, with the first picture of a chain.
            with ordinary_priority() if key else nullcontext():
                return b"".join(bytes(packet) for packet in context.encode(frame))

        return within(PATIENCE, work)

    def _open(self, quality: int) -> VideoCodecContext:
        # SVT-AV1 reports its settings on stderr unless told to keep to fatal errors.
        os.environ.setdefault("SVT_LOG", "0")
        context = _create(("libsvtav1",), "w")
        context.width = context.height = self._side
        context.pix_fmt = "yuv420p"
        # The rate has no influence at constant quality.
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        parameters = _parameters(quality, self._inter_quality)
        context.options = {"preset": str(self._preset), **parameters}
        return context


class Av1PictureDecoder:
    """Decodes one chain after another of pictures of ``side`` pixels.

    Nothing larger than the picture is ever allocated, whatever the bytes say. Raises
    ``MissingDependency`` without an AV1 decoder.
    """

    def __init__(self, side: int) -> None:
        self._side = check_side(side)
        self._context = self._open()
        self._chain = ChainGuard()

    def decode(self, data: bytes, *, key: bool, sequence: int | None = None) -> U8:
        """Decode ``data``: see :class:`~talkcodec.reference.codec.PictureDecoder`."""
        check_data(data)
        header, frame = self._take_apart(data) if key else (None, data)
        self._chain.enter(key=key, sequence=sequence)
        if key:
            self._context = self._open()
        picture = self._decode(obu.join(header, frame))
        self._chain.leave(sequence)
        return picture

    def _take_apart(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the sequence header and the frame of a key picture of the right size."""
        length = data[0]
        if 1 + length >= len(data):
            raise TruncatedError(f"expected more than {1 + length} bytes, found {len(data)}")
        header = data[1 : 1 + length] or SEQUENCE_HEADERS.get(self._side)
        if header is None:
            raise BitstreamError(f"expected an AV1 sequence header for side {self._side}")
        if (size := obu.sequence_size(header)) != (self._side, self._side):
            raise BitstreamError(f"expected a picture of side {self._side}, found {size}")
        return header, data[1 + length :]

    def _decode(self, unit: bytes) -> U8:
        from av import FFmpegError, Packet

        try:
            frames = self._context.decode(Packet(unit))
        except FFmpegError as error:
            raise BitstreamError(f"expected an AV1 picture, found {error.strerror}") from error
        if len(frames) != 1:
            raise BitstreamError(f"expected 1 AV1 picture, found {len(frames)}")
        if (size := (frames[0].width, frames[0].height)) != (self._side, self._side):
            raise BitstreamError(f"expected a picture of side {self._side}, found {size}")
        return np.asarray(frames[0].to_ndarray(format="rgb24"), dtype=np.uint8)

    def _open(self) -> VideoCodecContext:
        context = _create(_DECODERS, "r")
        context.thread_count = 1
        # A frame may claim any size up to 65536²: dav1d refuses before it allocates.
        context.options = {"max_frame_delay": "1", "max_pixels": str(self._side**2)}
        return context


def _create(names: tuple[str, ...], mode: Literal["r", "w"]) -> VideoCodecContext:
    """Return a context of the first codec that this build of FFmpeg has."""
    try:
        from av import Codec
        from av.codec.codec import UnknownCodecError
    except ImportError as error:
        raise MissingDependency("expected the package av (PyAV), found none") from error
    for name in names:
        try:
            return Codec(name, mode).create("video")
        except UnknownCodecError:
            continue
    raise MissingDependency(f"expected a PyAV with {' or '.join(names)}, found none of them")


def _parameters(key_quality: int, inter_quality: int) -> dict[str, str]:
    """Return FFmpeg's options for constant quantiser indices."""
    # CRF n means index 4 · n here; offsets of up to 64 from it reach either kind of picture.
    crf = max(1, min(62, (key_quality + inter_quality) // 8))
    offsets = ",".join([str(inter_quality - 4 * crf)] * 6)
    fixed = f"use-fixed-qindex-offsets=1:key-frame-qindex-offset={key_quality - 4 * crf}"
    return {
        "crf": str(crf),
        "svtav1-params": f"{_STRUCTURE}:{_TUNING}:{fixed}:qindex-offsets=[{offsets}]",
    }
