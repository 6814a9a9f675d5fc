# SPDX-License-Identifier: Apache-2.0
"""Frames to a video file that any player opens."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import av.error
from av.video.stream import VideoStream

from talkcodec.errors import InputError, reason
from talkcodec.types import U8

#: Nearly transparent to the eye: what the codec does must stay the visible part.
QUALITY = 14


class VideoWriter:
    """Writes H.264 (or, lossless, RGB) into the container that the suffix of ``path`` names.

    ``tick_rate``: units of the time stamps per second. ``quality``: x264's rate factor, 0 (best) to
    51. ``lossless``: H.264 in RGB without loss
    in ``.mp4`` and ``.mov``, else FFV1, which ``.mkv`` and ``.avi`` can hold. ``synthesised``: say
    in the file's metadata that its pictures are; see ``mark.provenance``.

    Raises:
        InputError: the file cannot be written, or not in that container.
    """

    def __init__(
        self,
        path: str | Path,
        tick_rate: Fraction,
        *,
        lossless: bool = False,
        synthesised: bool = False,
        quality: int = QUALITY,
    ) -> None:
        self._path = Path(path)
        self._rate = tick_rate
        self._lossless = lossless
        self._quality = quality
        self._stream: VideoStream | None = None
        self._last = -1
        if not self._path.parent.is_dir():  # FFmpeg would notice at the first picture only
            raise InputError(f"expected a video path to write, found {path}: no such folder")
        try:
            self._container = av.open(str(path), mode="w")
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise InputError(
                f"expected a video path to write, found {path}: {reason(error)}"
            ) from None
        if synthesised:
            from talkcodec.media.mark import provenance

            self._container.metadata.update(provenance())

    def write(self, picture: U8, tick: int) -> None:
        """Append ``picture``, uint8 (H, W, 3) RGB, shown from ``tick`` on.

        Ticks grow from call to call; a picture that comes too late is dropped. All pictures have
        one size, of even width and height unless lossless.
        """
        if tick <= self._last:
            return
        self._last = tick
        stream = self._stream or self._open(picture)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = tick, 1 / self._rate
        try:
            self._container.mux(stream.encode(frame))
        except av.error.FFmpegError as error:
            raise InputError(
                f"expected to write {self._path.name}, found: {reason(error)}"
            ) from None

    def close(self) -> None:
        """Write what is buffered and the container's index."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, picture: U8) -> VideoStream:
        codec, pixels, options = self._codec()
        try:
            stream = cast("VideoStream", self._container.add_stream(codec, rate=self._rate))
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(
                f"expected a container that holds {codec}, found {self._path.suffix}: "
                f"{reason(error)}"
            ) from None
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = 1 / self._rate
        stream.codec_context.thread_count = 1  # frames in flight are memory and delay
        stream.options = options
        self._stream = stream
        return stream

    def _codec(self) -> tuple[str, str, dict[str, object]]:
        if not self._lossless:
            return "libx264", "yuv420p", {"crf": str(self._quality), "preset": "fast"}
        if self._path.suffix.lower() in {".mp4", ".mov"}:
            return "libx264rgb", "rgb24", {"qp": "0", "preset": "fast"}
        return "ffv1", "bgr0", {"level": "3"}
