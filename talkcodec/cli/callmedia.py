# SPDX-License-Identifier: Apache-2.0
"""What ``talkcodec call`` sends and where it shows: opened by the names of its options."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from talkcodec.cli.footage import REHEARSED, limited, rehearsed
from talkcodec.cli.loopback import has_display
from talkcodec.errors import InputError, MissingDependency
from talkcodec.media.camera import Camera
from talkcodec.media.reader import VideoReader
from talkcodec.media.sinks import Sink, open_sink
from talkcodec.media.sound import SoundBlock, SoundReader, SoundWriter
from talkcodec.media.sources import Track, builtin_source
from talkcodec.types import Frame

_CAMERA_RATE = Fraction(30)
_SINKS = {"window", "none", "camera", "file"}


@dataclass(frozen=True, slots=True)
class MediaNames:
    """``source``: ``camera``, ``pattern``, ``none`` or a file. ``output``: a sink as ``open_sink``
    knows them, or a file. ``sound_in``: ``microphone``, ``none`` or a file; ``sound_out``:
    ``speaker``, ``none`` or a file; ``auto`` takes what belongs to the pictures and exists.
    """

    source: str
    output: str
    sound_in: str = "auto"
    sound_out: str = "auto"
    denoise: bool = False


@dataclass(frozen=True, slots=True)
class CallMedia:
    """``frames``: None sends no pictures. ``sound``: None sends none; ``sound_latency``: seconds
    from the air to it. ``play``: None plays none; ``play_latency``: seconds from it to the air.
    """

    frames: Iterator[Frame] | None
    rate: Fraction
    sink: Sink
    sound: Iterator[SoundBlock] | None = None
    sound_latency: float = 0.0
    play: Callable[[SoundBlock], None] | None = None
    play_latency: float = 0.0


def default_output() -> str:
    """Return a window where one can be shown."""
    return "window" if has_display() else "none"


@contextmanager
def open_media(
    names: MediaNames, seconds: float | None, tell: Callable[[str], None]
) -> Iterator[CallMedia]:
    """Open everything that ``names`` names, for ``seconds`` (None: until the call ends).

    Raises:
        InputError: something cannot be opened.
    """
    if names.source == "none" and names.sound_in not in {"auto", "none"}:
        # Sound is timed by the pictures it belongs to.
        raise InputError(f"expected pictures beside sound, found --sound-input {names.sound_in}")
    length = math.inf if seconds is None else seconds
    with ExitStack() as stack:
        frames, rate = stack.enter_context(_frames(names.source, length))
        sink = stack.enter_context(_sink(names.output, rate))
        sound, latency = _sound(names, stack, tell)
        play, play_latency = _play(names, stack, tell)
        yield CallMedia(frames, rate, sink, sound, latency, play, play_latency)


@contextmanager
def _frames(name: str, seconds: float) -> Iterator[tuple[Iterator[Frame] | None, Fraction]]:
    if name == "none":
        yield None, _CAMERA_RATE
    elif name == "pattern":
        frames = rehearsed(builtin_source(min(seconds, REHEARSED)), seconds)
        # Drawing takes seconds, which would be missing from the call.
        yield itertools.chain([next(frames)], frames), Track.load().rate
    elif name == "camera":
        with Camera() as camera:
            yield limited(camera, seconds), _CAMERA_RATE
    else:
        with VideoReader(name) as reader:
            yield limited(reader, seconds), reader.info.tick_rate


@contextmanager
def _sink(text: str, rate: Fraction) -> Iterator[Sink]:
    known = text.partition(":")[0] in _SINKS
    if text.startswith("window") and not has_display():
        raise InputError("expected a display for a window, found none (--output none or a file)")
    if not known and Path(text).exists():
        raise InputError(f"expected a new file, found {text}")
    with open_sink(text if known else f"file:{text}", rate) as sink:
        yield sink


def _sound(
    names: MediaNames, stack: ExitStack, tell: Callable[[str], None]
) -> tuple[Iterator[SoundBlock] | None, float]:
    """Return what is heard here, and how late it is."""
    name = names.sound_in
    if name == "auto":
        name = {"camera": "microphone", "pattern": "none", "none": "none"}.get(
            names.source, names.source
        )
    if name == "none":
        return None, 0.0
    latency = 0.0
    try:
        if name == "microphone":
            from talkcodec.media.soundcard import Microphone

            microphone = stack.enter_context(Microphone())
            latency, blocks = microphone.latency, iter(microphone)
        else:
            blocks = iter(stack.enter_context(SoundReader(name)))
    except (InputError, MissingDependency) as error:
        if names.sound_in != "auto":
            raise
        tell(f"without sound: {error}")
        return None, 0.0
    if names.denoise:
        from talkcodec.media.denoise import denoised

        blocks = denoised(blocks)
    return blocks, latency


def _play(
    names: MediaNames, stack: ExitStack, tell: Callable[[str], None]
) -> tuple[Callable[[SoundBlock], None] | None, float]:
    """Return what plays the other side's sound, and how late."""
    name = names.sound_out
    if name == "none" or (name == "auto" and names.output == "none"):
        return None, 0.0
    if name not in {"auto", "speaker"}:
        if Path(name).exists():
            raise InputError(f"expected a new file, found {name}")
        return stack.enter_context(SoundWriter(name)).play, 0.0
    try:
        from talkcodec.media.soundcard import Speaker

        speaker = stack.enter_context(Speaker())
    except (InputError, MissingDependency) as error:
        if name == "speaker":
            raise
        tell(f"silent: {error}")
        return None, 0.0
    return speaker.play, speaker.latency
