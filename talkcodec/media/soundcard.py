# SPDX-License-Identifier: Apache-2.0
"""Microphone and speaker through PortAudio (sounddevice, an extra). Nothing else imports it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np

from talkcodec.errors import InputError, MissingDependency
from talkcodec.media.sound import BLOCK, I16, RATE, SoundBlock

#: Blocks of 20 ms between the sound card's thread and ours; the oldest is dropped beyond, because
#: late sound is worth less than a gap.
WAITING = 10

#: Seconds without a block after which a microphone is taken for unplugged.
SILENT = 3.0


class Microphone:
    """Iterates over blocks of 20 ms as they are heard, times counted from the first.

    ``latency``: seconds from the air to here, as the driver tells. ``dropped``: blocks, oldest
    first, that nobody took in time.

    Raises:
        MissingDependency: sounddevice or PortAudio is not installed.
        InputError: there is no microphone; while iterating: it gives nothing any more.
    """

    def __init__(self, device: int | str | None = None) -> None:
        self.dropped = 0
        self._blocks: deque[SoundBlock] = deque()
        self._changed = threading.Condition()
        self._heard = 0
        self._closed = False
        self._stream = _open("RawInputStream", device, self._take)
        self.latency = float(self._stream.latency)

    def __iter__(self) -> Iterator[SoundBlock]:
        self._stream.start()
        while True:
            with self._changed:
                told = self._changed.wait_for(lambda: bool(self._blocks) or self._closed, SILENT)
                if not told:
                    raise InputError(f"expected sound, found a microphone dead for {SILENT:g} s")
                if not self._blocks:
                    return
                block = self._blocks.popleft()
            yield block

    def close(self) -> None:
        """End the iteration and release the device; may be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """Keep what PortAudio's thread brings."""
        samples = np.frombuffer(bytes(data), np.int16)
        with self._changed:
            if len(self._blocks) == WAITING:
                self._blocks.popleft()
                self.dropped += 1
            self._blocks.append(SoundBlock(samples, self._heard / RATE))
            self._heard += len(samples)
            self._changed.notify()


class Speaker:
    """Plays blocks through a sound card, in the order of ``play``; silence where there is none.

    ``latency``: seconds from ``play`` to the air: give it to the receiver. ``dropped``: blocks,
    oldest first, given faster than they were played.

    Raises:
        MissingDependency: sounddevice or PortAudio is not installed.
        InputError: there is no speaker.
    """

    def __init__(self, device: int | str | None = None) -> None:
        self.dropped = 0
        self._blocks: deque[I16] = deque()
        self._rest: I16 = np.zeros(0, np.int16)
        self._lock = threading.Lock()
        self._stream = _open("RawOutputStream", device, self._give)
        self.latency = float(self._stream.latency) + BLOCK / RATE
        self._stream.start()

    def play(self, block: SoundBlock) -> None:
        """Play ``block`` after what was given before."""
        with self._lock:
            if len(self._blocks) == WAITING:
                self._blocks.popleft()
                self.dropped += 1
            self._blocks.append(block.samples)

    def close(self) -> None:
        """Stop, and release the device; may be called again."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _give(self, out: Any, frames: int, _time: Any, _status: Any) -> None:
        """Fill what PortAudio's thread asks for."""
        with self._lock:
            parts = [self._rest]
            while sum(map(len, parts)) < frames and self._blocks:
                parts.append(self._blocks.popleft())
        samples = np.concatenate(parts)
        self._rest = samples[frames:]
        filled = np.zeros(frames, np.int16)
        filled[: min(len(samples), frames)] = samples[:frames]
        out[:] = filled.tobytes()


def _open(kind: str, device: int | str | None, callback: Any) -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the library is there and PortAudio is not
        raise MissingDependency(
            f"expected sounddevice and PortAudio, found: {error}: pip install 'talkcodec[audio]'"
        ) from None
    try:
        return getattr(sounddevice, kind)(
            samplerate=RATE,
            blocksize=BLOCK,
            channels=1,
            dtype="int16",
            device=device,
            latency="low",
            callback=callback,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        what = "microphone" if kind == "RawInputStream" else "speaker"
        raise InputError(f"expected a {what}, found none: {error}") from None
