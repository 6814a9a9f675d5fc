# SPDX-License-Identifier: Apache-2.0
"""Where pictures go: one small protocol, and a registry of what implements it by name.

A receiver calls ``show`` on its worker thread with every picture at its time::

    with open_sink("file:received.mp4", Fraction(25)) as sink:
        receiver = Receiver(sink.show)

``register_sink`` adds a sink of one's own; see ``examples/custom_sink.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from talkcodec.decoder import DecodedFrame
from talkcodec.errors import InputError
from talkcodec.media.writer import VideoWriter
from talkcodec.types import Mode


@dataclass(frozen=True, slots=True, eq=False)
class ShownFrame(DecodedFrame):
    """A picture of a call. ``time``: of its capture, in seconds after tick 0; ``mode``: how it
    came. One that came as motion is synthesised: it looks like the person and is no photograph.
    ``made_up``: nothing of this moment came in time; it goes on from those around it.
    """

    time: float = 0.0
    mode: Mode = "motion"
    made_up: bool = False

    @property
    def synthesised(self) -> bool:
        return self.mode == "motion"


class Sink(Protocol):
    """Takes pictures. ``show`` is called on one thread, in order, and must not wait long."""

    def show(self, frame: ShownFrame) -> None:
        """Show ``frame`` now; the next one comes in a fortieth of a second or so."""

    def close(self) -> None:
        """Release what the sink holds; nothing is shown after that."""


#: Makes a sink of the text after the colon and the ticks per second.
MakeSink = Callable[[str, Fraction], Sink]


class FileSink:
    """Writes a video file, on the stream's own time: what was not drawn stands as it stood.

    Its metadata says that pictures in it are synthesised.
    """

    def __init__(self, path: str, tick_rate: Fraction) -> None:
        self._writer = VideoWriter(path, tick_rate, synthesised=True)
        self._first: int | None = None

    def show(self, frame: ShownFrame) -> None:
        if self._first is None:
            self._first = frame.tick
        self._writer.write(frame.picture, frame.tick - self._first)

    def close(self) -> None:
        self._writer.close()


class NoSink:
    """Throws every picture away, for measurements."""

    def show(self, frame: ShownFrame) -> None:
        """Forget ``frame``."""

    def close(self) -> None:
        """Nothing is held."""


def _window(argument: str, _tick_rate: Fraction) -> Sink:
    from talkcodec.media.window import WindowSink

    return WindowSink(argument or "talkcodec")


def _virtual_camera(argument: str, tick_rate: Fraction) -> Sink:
    from talkcodec.media.virtualcamera import VirtualCameraSink

    return VirtualCameraSink(argument or None, tick_rate)


def _none(_argument: str, _tick_rate: Fraction) -> Sink:
    return NoSink()


_SINKS: dict[str, MakeSink] = {
    "file": FileSink,
    "window": _window,
    "camera": _virtual_camera,
    "none": _none,
}


def register_sink(name: str, make: MakeSink) -> None:
    """Let ``open_sink`` know a sink of one's own as ``name`` or ``name:argument``.

    Raises:
        ValueError: the name is taken, or contains a colon.
    """
    if name in _SINKS or ":" in name or not name:
        raise ValueError(f"expected a new name without a colon, found {name!r}")
    _SINKS[name] = make


@contextmanager
def open_sink(text: str, tick_rate: Fraction) -> Iterator[Sink]:
    """Open ``file:PATH``, ``window[:TITLE]``, ``camera[:DEVICE]`` (a virtual one), ``none``, or
    one that was registered, for pictures at ``tick_rate`` a second; close it at the end.

    Raises:
        InputError: there is no such sink, or it cannot be opened.
        MissingDependency: it needs an extra that is not installed.
    """
    name, _, argument = text.partition(":")
    if name not in _SINKS:
        raise InputError(f"expected a sink of {', '.join(sorted(_SINKS))}, found {text!r}")
    sink = _SINKS[name](argument, tick_rate)
    try:
        yield sink
    finally:
        sink.close()
