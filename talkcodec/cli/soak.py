# SPDX-License-Identifier: Apache-2.0
"""A long call with everything on, and what it leaves behind.

``python -m talkcodec.cli.soak --minutes 30 --loss 0.05`` calls itself, both ways, with sound;
changes the mode, mutes and replaces the connection now and then; and prints, as JSON, how memory,
queues, tasks and threads fared.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.cli.pair import connected, introduce
from talkcodec.clock import Clock, SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import SoundBlock, tone
from talkcodec.media.sources import builtin_source
from talkcodec.rtc.call import Call
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.relay import UdpRelay
from talkcodec.types import Frame

_TICK_RATE = Fraction(25)

#: Seconds between looks, and part of the call after which memory is compared.
_INTERVAL = 5.0
_WARM = 0.2


@dataclass(frozen=True, slots=True)
class SoakConfig:
    """``seconds`` of call over ``link``; seconds between changes of the mode, of muting, and
    between connections, 0 for never.
    """

    seconds: float
    link: LinkConfig
    modes: float = 20.0
    mutes: float = 33.0
    reconnects: float = 120.0


class End:
    """One end, which sends the portrait and a tone, and throws away what it receives."""

    def __init__(self, pictures: list[Frame], config: SoakConfig, clock: Clock) -> None:
        self.shown = self.played = 0
        self.failure: str | None = None
        self.sender = Sender(EncoderConfig(tick_rate=_TICK_RATE, redundancy=True), clock=clock)
        self.receiver = Receiver(self._show, play=self._play, clock=clock)
        self.call = Call(self.sender, self.receiver, patience=30.0, clock=clock)
        self._captures = (
            Capture(_rocking(pictures, config.seconds), self.sender.put, self._note, clock),
            Capture(tone(config.seconds, 220), self.sender.put_sound, self._note, clock),
        )

    def start(self) -> None:
        for capture in self._captures:
            capture.start()

    def stop(self) -> None:
        for capture in self._captures:
            capture.close()

    def queues(self) -> dict[str, int]:
        """Return how much waits, and where."""
        waiting = self.sender.queues() | self.receiver.queues()
        return waiting | {"transport_bytes": self.call.backlog}

    def _note(self, failure: Exception | None) -> None:
        """A source has ended, or the call has under it."""
        if failure is not None:
            self.failure = str(failure)

    def _show(self, _frame: ShownFrame) -> None:
        self.shown += 1

    def _play(self, _block: SoundBlock) -> None:
        self.played += 1


async def soak(config: SoakConfig) -> dict[str, Any]:
    """Run the call and return what it was like."""
    clock = SystemClock()
    pictures = await asyncio.to_thread(lambda: list(builtin_source(4)))
    before = _footprint()
    ends = End(pictures, config, clock), End(pictures, config, clock)
    looks: list[dict[str, Any]] = []
    async with connected(ends[0].call, ends[1].call, config.link, clock) as relay:
        begin = clock.now()
        for end in ends:
            end.start()
        disturbing = asyncio.create_task(_disturb(ends, config, relay))
        while clock.now() - begin < config.seconds:
            await asyncio.sleep(min(_INTERVAL, config.seconds / 10))
            look = _footprint() | {"seconds": round(clock.now() - begin, 1)}
            looks.append(look | {"queues": [end.queues() for end in ends]})
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)
        for end in ends:
            await asyncio.to_thread(end.stop)
        reports = [_report(end, config.seconds) for end in ends]
    await asyncio.sleep(0.1)
    return _summary(looks, before, reports)


async def _disturb(ends: tuple[End, End], config: SoakConfig, relay: UdpRelay) -> None:
    """Change what can be changed, on and on."""
    plans = {"modes": config.modes, "mutes": config.mutes, "reconnects": config.reconnects}
    for second in itertools.count(1):
        await asyncio.sleep(1)
        due = {name for name, every in plans.items() if every and second % round(every) == 0}
        for end in ends:
            if "modes" in due:
                end.sender.set_mode("video" if end.sender.mode == "motion" else "motion")
            if "mutes" in due:
                end.sender.mute(on=not end.sender.muted)
        if "reconnects" in due:
            # Losing the handshakes of DTLS takes seconds a time, which is not what is looked at.
            relay.impair(LinkConfig())
            await introduce(relay, ends[0].call, ends[1].call)
            relay.impair(config.link)


def _rocking(pictures: list[Frame], seconds: float) -> Iterator[Frame]:
    """Yield ``pictures`` forwards and backwards for ``seconds``."""
    period = 2 * (len(pictures) - 1)
    for tick in range(round(seconds * _TICK_RATE)):
        place = tick % period
        yield Frame(pictures[min(place, period - place)].picture, tick, 1 / _TICK_RATE)


def _footprint() -> dict[str, Any]:
    """Return what this process holds now."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return {
        "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        # Those of the loop's executor stay until the loop ends, idle, up to a fixed number.
        "threads": sum(not t.name.startswith("asyncio_") for t in threading.enumerate()),
        "tasks": len(asyncio.all_tasks()),
    }


def _report(end: End, seconds: float) -> dict[str, Any]:
    received, media = end.receiver.report(), end.receiver.media()
    return {
        "frames_per_second": round(end.shown / seconds, 2),
        "freezes_over_200ms": received.freezes,
        "longest_freeze_ms": round(1000 * received.longest_freeze),
        "sound_blocks": end.played,
        "sound_concealed": media.sound_concealed,
        "mode_switches": media.mode_switches,
        "connections": end.call.connections,
        "loss": end.sender.report().loss,
        "failure": end.failure,
    }


def _summary(
    looks: list[dict[str, Any]], before: dict[str, Any], ends: list[dict[str, Any]]
) -> dict[str, Any]:
    warm = looks[min(int(len(looks) * _WARM), len(looks) - 1)]
    last = looks[-1]
    names = looks[0]["queues"][0]
    return {
        "seconds": last["seconds"],
        "rss_mb": {"warm": warm["rss_mb"], "end": last["rss_mb"]},
        "rss_growth": round(last["rss_mb"] / max(warm["rss_mb"], 1.0) - 1, 4),
        "threads": {"warm": warm["threads"], "end": last["threads"]},
        "tasks": {"warm": warm["tasks"], "end": last["tasks"]},
        "queues_most": {
            name: max(queues[name] for look in looks for queues in look["queues"]) for name in names
        },
        "queues_end": last["queues"],
        "left_behind": {name: _footprint()[name] - before[name] for name in ("threads", "tasks")},
        "ends": ends,
    }


def main() -> None:
    """Read the command line, soak, print."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.cli.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--loss", type=float, default=0.05)
    parser.add_argument("--rtt", type=float, default=50.0, help="ms")
    for name in ("modes", "mutes", "reconnects"):
        default = getattr(SoakConfig(1, LinkConfig()), name)
        parser.add_argument(f"--{name}", type=float, default=default, help="seconds between")
    options = vars(parser.parse_args())
    link = LinkConfig(loss=options.pop("loss"), rtt=options.pop("rtt") / 1000)
    config = SoakConfig(60 * options.pop("minutes"), link, **options)
    sys.stdout.write(json.dumps(asyncio.run(soak(config))) + "\n")


if __name__ == "__main__":
    main()
