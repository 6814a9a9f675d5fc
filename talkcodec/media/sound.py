# SPDX-License-Identifier: Apache-2.0
"""Sound as it travels through talkcodec: mono, 48 kHz, 16 bits; where it comes from and goes to.

Sources are iterables of ``SoundBlock``, sinks have ``play`` and ``close``, as in ``sinks.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from talkcodec.errors import InputError

I16 = npt.NDArray[np.int16]

#: Samples a second.
RATE = 48_000

#: Samples of a packet, 20 ms.
BLOCK = 960


@dataclass(frozen=True, slots=True, eq=False)
class SoundBlock:
    """``samples``: int16 (N,), mono, 48 kHz. ``time``: when the first was heard, in seconds."""

    samples: I16
    time: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / RATE

    def __repr__(self) -> str:
        return f"SoundBlock({len(self.samples)} samples at {self.time:.3f} s)"


def silence(seconds: float) -> Iterator[SoundBlock]:
    """Yield ``seconds`` of nothing, in blocks of 20 ms."""
    return tone(seconds, 0.0)


def tone(seconds: float, frequency: float = 440.0, volume: float = 0.3) -> Iterator[SoundBlock]:
    """Yield ``seconds`` of a sine of ``frequency`` Hz, in blocks of 20 ms."""
    for start in range(0, round(seconds * RATE), BLOCK):
        phase = 2 * np.pi * frequency / RATE * np.arange(start, start + BLOCK)
        samples = np.rint(32767 * volume * np.sin(phase)).astype(np.int16)
        yield SoundBlock(samples, start / RATE)


class SoundReader:
    """Iterates over the sound of a file, in blocks of 20 ms; a context manager.

    Times count from the file's first picture if it has any, as those of ``VideoReader`` do.

    Raises:
        InputError: the file is missing or has no sound; while iterating: it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = Path(path).name
        try:
            self._container = av.open(str(path))
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(f"expected a file with sound, found {path}: {error}") from None
        if not self._container.streams.audio:
            self._container.close()
            raise InputError(f"expected sound in {self._name}, found none")
        self._stream = self._container.streams.audio[0]

    def __iter__(self) -> Iterator[SoundBlock]:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=BLOCK)
        begin = self._begin()
        number, first = 0, None
        try:
            for frame in self._container.decode(self._stream):
                if first is None:
                    first = float(frame.time or 0.0) - begin
                for part in resampler.resample(frame):
                    yield SoundBlock(mono(part), first + number * BLOCK / RATE)
                    number += 1
        except av.error.FFmpegError as error:
            raise InputError(
                f"expected whole sound, found damage in {self._name}: {error}"
            ) from None

    def close(self) -> None:
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

    def _begin(self) -> float:
        """Return the time of the first picture, or of the first sound, in seconds."""
        streams = self._container.streams
        stream = streams.video[0] if streams.video else self._stream
        return float((stream.start_time or 0) * (stream.time_base or 0))


class SoundWriter:
    """Writes sound to a file: PCM in ``.wav``, else what the container of that name holds.

    Raises:
        InputError: the file cannot be written.
    """

    latency = 0.0

    def __init__(self, path: str | Path) -> None:
        self._name = Path(path).name
        try:
            self._container = av.open(str(path), mode="w")
            codec = self._container.default_audio_codec
            self._stream = cast("AudioStream", self._container.add_stream(codec, rate=RATE))
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"expected a sound file to write, found {path}: {error}") from None
        self._stream.layout = "mono"
        self._written = 0

    def play(self, block: SoundBlock) -> None:
        """Append ``block`` to what was written so far."""
        frame = audio_frame(block.samples, self._written)
        self._written += len(block.samples)
        try:
            self._container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as error:
            raise InputError(f"expected to write {self._name}, found: {error}") from None

    def close(self) -> None:
        """Write what is buffered and the container's index."""
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


def audio_frame(samples: I16, pts: int) -> AudioFrame:
    """Return ``samples`` (N,) as PyAV takes them; ``pts`` in samples."""
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "s16", "mono")
    frame.sample_rate, frame.pts = RATE, pts
    return frame


def mono(frame: AudioFrame) -> I16:
    """Return the samples (N,) of a 16-bit frame, packed channels averaged."""
    samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).astype(np.int32)
    return np.asarray(samples.sum(axis=1) // samples.shape[1], np.int16)
