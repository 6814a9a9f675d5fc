# SPDX-License-Identifier: Apache-2.0
"""How far apart sound and pictures are: a face that jumps, and a beep with every jump.

``python -m talkcodec.cli.lipsync [--mode video] [--link loss=0.05,rtt=50]`` sends both through a
real call and prints, as JSON, by how much the beep follows the jump in what comes out. Times are
those of handing pictures and sound over to a screen and a loudspeaker without delay.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.cli.pair import connected
from talkcodec.clock import Stopwatch, SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import BLOCK, RATE, SoundBlock
from talkcodec.media.sources import portrait_picture
from talkcodec.rtc.call import Call
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.linktext import parse_link
from talkcodec.types import CANVAS, F64, U8, Frame, Mode

_TICK_RATE = Fraction(25)

#: Seconds between jumps, and pixels that the picture jumps by.
_EVERY = 0.8
_JUMP = 10

#: Seconds before the first event that is measured: playout has found its delay by then.
_SETTLING = 3.0

#: Amplitude of 16 bits above which the beep is heard.
_HEARD = 2000


def frames(seconds: float) -> Iterator[Frame]:
    """Yield the portrait, which jumps to the side and back every ``_EVERY`` seconds."""
    portrait = portrait_picture(CANVAS)
    moved = np.roll(portrait, _JUMP, axis=1)
    moved[:, :_JUMP] = moved[:, _JUMP : _JUMP + 1]
    grain = np.random.default_rng(0)
    for tick in range(round(seconds * _TICK_RATE)):
        picture = moved if _event(tick / float(_TICK_RATE)) % 2 else portrait
        noise = grain.normal(0, 1.5, picture.shape)
        yield Frame(np.clip(picture + noise, 0, 255).astype(np.uint8), tick, 1 / _TICK_RATE)


def beeps(seconds: float) -> Iterator[SoundBlock]:
    """Yield silence with 0.1 s of 1 kHz at every jump."""
    for start in range(0, round(seconds * RATE), BLOCK):
        times = np.arange(start, start + BLOCK) / RATE
        since = np.mod(times + 1e-9, _EVERY)
        on = (since < 0.1) & (times + 1e-9 >= _EVERY)
        wave = 0.5 * np.cos(2 * np.pi * 1000 * times)
        yield SoundBlock(np.rint(32767 * np.where(on, wave, 0)).astype(np.int16), start / RATE)


def _event(time: float) -> int:
    return int((time + 1e-9) / _EVERY)


@dataclass(slots=True)
class Watch:
    """Notes what is shown and played, and when."""

    clock: SystemClock
    shown: list[tuple[float, float, U8]] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)

    def show(self, frame: ShownFrame) -> None:
        small = np.ascontiguousarray(frame.picture[32:224:2, 32:224:2, 1])
        self.shown.append((self.clock.now(), frame.time, small))

    def play(self, block: SoundBlock) -> None:
        """Note when a beep begins."""
        now = self.clock.now()
        loud = np.flatnonzero(np.abs(block.samples.astype(np.int32)) > _HEARD)
        if len(loud) and (not self.heard or now - self.heard[-1] > _EVERY / 2):
            self.heard.append(now + float(loud[0]) / RATE)

    def jumps(self) -> list[float]:
        """Return when the picture on the screen jumped, in seconds of the clock."""
        times = [time for time, _, _ in self.shown]
        path = _path([(at, picture) for _, at, picture in self.shown])
        above = path > 0.5
        return [times[place] for place in np.flatnonzero(above[1:] != above[:-1]) + 1]


def _path(shown: list[tuple[float, U8]]) -> F64:
    """Return where each picture is between the two that the source alternates: 0 to 1."""
    settled: tuple[list[U8], list[U8]] = ([], [])
    for at, picture in shown:
        if at % _EVERY > _EVERY / 2 and at > 1.0:
            settled[_event(at) % 2].append(picture)
    if not settled[0] or not settled[1]:
        return np.zeros(len(shown))
    one, two = (np.mean(np.stack(side), axis=0) for side in settled)
    axis = two - one
    length = float((axis * axis).sum())
    return np.array([float(((picture - one) * axis).sum()) / length for _, picture in shown])


async def measure(
    seconds: float, link: LinkConfig, mode: Mode, stopwatch: Stopwatch | None = None
) -> dict[str, Any]:
    """Run one call of ``seconds`` and return what it measured, in ms.

    ``stopwatch``: of the receiver.
    """
    clock = SystemClock()
    watch = Watch(clock)
    sender = Sender(EncoderConfig(tick_rate=_TICK_RATE, redundancy=True), clock=clock)
    receiver = Receiver(watch.show, play=watch.play, stopwatch=stopwatch, clock=clock)
    caller, callee = Call(sender, clock=clock), Call(receiving=receiver, clock=clock)
    async with connected(caller, callee, link, clock):
        sender.set_mode(mode)
        begin = clock.now() + 0.1
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        pictures = Capture(frames(seconds), sender.put, _ignore, clock, begin=begin)
        sound = Capture(
            beeps(seconds),
            sender.put_sound,
            lambda _: loop.call_soon_threadsafe(ended.set),
            clock,
            begin=begin,
        )
        pictures.start()
        sound.start()
        await ended.wait()
        await asyncio.sleep(link.rtt / 2 + 0.5)
        pictures.close()
        sound.close()
    return _summary(watch, receiver, begin)


def _ignore(_failure: Exception | None) -> None:
    """A source's end is no news here."""


def _summary(watch: Watch, receiver: Receiver, begin: float) -> dict[str, Any]:
    jumps = [time for time in watch.jumps() if time > begin + _SETTLING]
    offsets = []
    for jump in jumps:
        nearest = min(watch.heard, key=lambda beep: abs(beep - jump), default=None)
        if nearest is not None and abs(nearest - jump) < _EVERY / 2:
            offsets.append(1000 * (nearest - jump))
    ordered = sorted(offsets)
    media = receiver.media()
    return {
        "events": len(offsets),
        "missed": len(jumps) - len(offsets),
        "offset_ms_median": _rounded(ordered[len(ordered) // 2] if ordered else None),
        "offset_ms_min": _rounded(ordered[0] if ordered else None),
        "offset_ms_max": _rounded(ordered[-1] if ordered else None),
        "sound_blocks": media.sound_blocks,
        "sound_concealed": media.sound_concealed,
        "frames_shown": receiver.report().frames_shown,
        "mode": media.mode,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.cli.lipsync")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--link", type=parse_link, default=LinkConfig())
    parser.add_argument("--mode", choices=("motion", "video"), default="motion")
    options = parser.parse_args()
    result = asyncio.run(measure(options.seconds, options.link, options.mode))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
