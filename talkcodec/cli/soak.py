# SPDX-License-Identifier: Apache-2.0
"""A long call with everything on, and what it leaves behind.

``python -m talkcodec.cli.soak --minutes 30 --loss 0.05`` calls itself, both ways, with sound;
changes the mode, mutes and replaces the connection now and then; tells on standard error how it
goes; and prints, as JSON, how pictures, sound, memory, queues, tasks and threads fared. With
``--loss 0 --no-events`` it shows how many pictures a second this machine draws.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import mean
from typing import Any

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.cli.footage import Footage
from talkcodec.cli.journal import STEADY, Diary, Losses, Pictures
from talkcodec.cli.pair import connected, introduce
from talkcodec.clock import Clock, Stopwatch, SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.media.sound import SoundBlock, tone
from talkcodec.rtc.call import Call
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.relay import UdpRelay

#: Seconds between looks; between two of them the loop is asked this often how late it is.
_INTERVAL, _PULSE = 5.0, 0.05

#: Seconds of call after which memory is compared, at most, and the part of a short one: by then
#: every kind of picture, both modes and a second connection have been there once.
_WARM, _WARM_PART = 180.0, 0.4


@dataclass(frozen=True, slots=True)
class SoakConfig:
    """``seconds`` of call over ``link``; seconds between changes of the mode, of muting, and
    between connections, 0 for never. ``group``: frames a packet; ``rate``: frames a second.
    """

    seconds: float
    link: LinkConfig
    modes: float = 20.0
    mutes: float = 33.0
    reconnects: float = 120.0
    group: int = 3
    rate: Fraction = Fraction(25)

    @property
    def warm(self) -> float:
        """Seconds of call after which memory is compared."""
        return min(_WARM, _WARM_PART * self.seconds)


class End:
    """One end, which sends ``footage`` and a tone, and throws away what it receives."""

    def __init__(
        self,
        footage: Footage,
        config: SoakConfig,
        diary: Diary,
        clock: Clock,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.played = 0
        self.rate = float(config.rate)
        self.failure: str | None = None
        self.other: End | None = None
        stream = EncoderConfig(tick_rate=config.rate, group=config.group, redundancy=True)
        self.sender = Sender(stream, clock=clock)
        self.pictures = Pictures(diary, clock, self._totals)
        self.losses = Losses(diary, clock)
        self.receiver = Receiver(
            self.pictures.shown, play=self._play, stopwatch=stopwatch, clock=clock
        )
        self.call = Call(self.sender, self.receiver, patience=30.0, clock=clock)
        frames = footage.frames(config.seconds, config.rate)
        self._captures = (
            Capture(frames, self.sender.put, self._note, clock),
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

    def look(self) -> None:
        """Note what has gone wrong since the last look; on the event loop's thread, often."""
        self.losses.look(self.receiver.media().sound_concealed)

    def _totals(self) -> dict[str, int]:
        """Return what may say why a picture stood: of this end, and of the other as a sender."""
        received = self.receiver.report()
        totals = {
            "groups": received.groups,
            "unready": received.unready,
            "late": received.late,
            "skipped": received.skipped,
            "references": received.references,
            "inbox_dropped": received.inbox_dropped,
        }
        if self.other is None:
            return totals
        sent = self.other.sender.report()
        return totals | {
            "sent_groups": sent.groups,
            "sent_references": sent.references,
            "frames_dropped": sent.frames_dropped,
            "messages_dropped": sent.messages_dropped,
        }

    def _note(self, failure: Exception | None) -> None:
        """A source has ended, or the call has under it."""
        if failure is not None:
            self.failure = str(failure)

    def _play(self, _block: SoundBlock) -> None:
        self.played += 1


async def soak(
    config: SoakConfig,
    tell: Callable[[str], None] = lambda _line: None,
    footage: Footage | None = None,
    stopwatch: Stopwatch | None = None,
) -> dict[str, Any]:
    """Run the call and return what it was like; ``tell`` is given a line now and then.

    ``footage``: the portrait by default. ``stopwatch``: of both receivers.
    """
    clock = SystemClock()
    diary = Diary(clock)
    if footage is None:
        footage = await asyncio.to_thread(Footage.load, None, 4.0)
    before = _footprint()
    one, two = (End(footage, config, diary, clock, stopwatch) for _ in range(2))
    one.other, two.other = two, one
    ends = one, two
    looks: list[dict[str, Any]] = []
    async with connected(ends[0].call, ends[1].call, config.link, clock) as relay:
        begin, used = clock.now(), time.process_time()
        for end in ends:
            end.start()
        helpers = [
            asyncio.create_task(_disturb(ends, config, diary, relay)),
            asyncio.create_task(_look_often(ends, diary, clock)),
        ]
        with diary.watching_garbage():
            while clock.now() - begin < config.seconds:
                await asyncio.sleep(min(_INTERVAL, config.seconds / 10))
                looks.append(_look(ends, clock.now() - begin))
                tell(_progress(looks, ends))
        used = time.process_time() - used
        for helper in helpers:
            helper.cancel()
        results = await asyncio.gather(*helpers, return_exceptions=True)
        for end in ends:
            await asyncio.to_thread(end.stop)
        reports = [_report(end) for end in ends]
    await asyncio.sleep(0.1)
    failed = next((str(r) for r in results if isinstance(r, Exception)), None)
    summary = _summary(looks, before, reports, config.warm)
    return summary | {
        "done": dict(diary.done),
        "failed": failed,
        "cores_used": round(used / looks[-1]["seconds"], 2),
    }


async def _look_often(ends: tuple[End, End], diary: Diary, clock: Clock) -> None:
    """Note how late the event loop is, and what of the sound went missing."""
    while True:
        due = clock.now() + _PULSE
        await asyncio.sleep(_PULSE)
        diary.late(clock.now() - due)
        for end in ends:
            end.look()


async def _disturb(
    ends: tuple[End, End], config: SoakConfig, diary: Diary, relay: UdpRelay
) -> None:
    """Change what can be changed, on and on."""
    plans = {"modes": config.modes, "mutes": config.mutes, "reconnects": config.reconnects}
    for second in itertools.count(1):
        await asyncio.sleep(1)
        due = {name for name, every in plans.items() if every and second % round(every) == 0}
        for end in ends:
            if "modes" in due:
                with diary.deed("mode"):
                    end.sender.set_mode("video" if end.sender.mode == "motion" else "motion")
            if "mutes" in due:
                with diary.deed("mute"):
                    end.sender.mute(on=not end.sender.muted)
        if "reconnects" in due:
            # Losing the handshakes of DTLS takes seconds a time, which is not what is looked at.
            relay.impair(LinkConfig())
            with diary.deed("reconnect"):
                await introduce(relay, ends[0].call, ends[1].call)
            relay.impair(config.link)


def _footprint() -> dict[str, Any]:
    """Return what this process holds now."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return {
        "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        # Of Python's own objects; what libraries hold is not among them.
        "blocks": sys.getallocatedblocks(),
        # Those of the loop's executor stay until the loop ends, idle, up to a fixed number.
        "threads": sum(not t.name.startswith("asyncio_") for t in threading.enumerate()),
        "tasks": len(asyncio.all_tasks()),
    }


def _look(ends: tuple[End, End], second: float) -> dict[str, Any]:
    look = _footprint() | {"seconds": round(second, 1)}
    return look | {"queues": [end.queues() for end in ends]}


def _progress(looks: list[dict[str, Any]], ends: tuple[End, End]) -> str:
    """Return one line on how it goes."""
    now = looks[-1]
    told = [end.pictures.report(end.rate) for end in ends]
    rates = " and ".join(f"{each.get('per_second', 0.0):.1f}" for each in told)
    freezes = sum(sum(end.pictures.freezes.values()) for end in ends)
    steady = sum(end.pictures.freezes[STEADY] for end in ends)
    waiting = max(sum(queues.values()) for queues in now["queues"])
    return (
        f"{now['seconds']:7.1f} s  {now['rss_mb']:.0f} MB  {now['blocks']} blocks  "
        f"{now['threads']} threads  {now['tasks']} tasks  {waiting} wait  {rates} pictures/s  "
        f"{freezes} freezes, {steady} of them for no reason"
    )


def _report(end: End) -> dict[str, Any]:
    media, sent = end.receiver.media(), end.sender.report()
    concealed = {name: count for name, count in end.losses.by_cause.items() if count}
    return {
        "sent": {
            "captured": sent.frames_captured,
            "encoded": sent.frames_encoded,
            "references": sent.references,
            "messages_dropped": sent.messages_dropped,
            "loss": sent.loss,
            "rtt_ms": None if sent.rtt is None else round(1000 * sent.rtt),
        },
        "pictures": end.pictures.report(end.rate),
        "sound": {
            "blocks": end.played,
            "muted": media.sound_muted,
            "concealed": media.sound_concealed,
            "concealed_by_cause": concealed,
            "late": media.sound_late,
            "inserted": media.sound_inserted,
            "skipped": media.sound_skipped,
        },
        "mode_switches": media.mode_switches,
        "connections": end.call.connections,
        "failure": end.failure,
    }


def _summary(
    looks: list[dict[str, Any]],
    before: dict[str, Any],
    ends: list[dict[str, Any]],
    warm_at: float,
) -> dict[str, Any]:
    """Return the JSON object but for what is known outside."""
    warm = next((look for look in looks if look["seconds"] >= warm_at), looks[-1])
    last = looks[-1]
    names = looks[0]["queues"][0]
    both = {
        name: {"warm": warm[name], "end": last[name]}
        for name in ("rss_mb", "blocks", "threads", "tasks")
    }
    return both | {
        "seconds": last["seconds"],
        "warm_at": warm["seconds"],
        "rss_growth": round(last["rss_mb"] / max(warm["rss_mb"], 1.0) - 1, 4),
        "rss_by_minute": [looks[i]["rss_mb"] for i in range(0, len(looks), _per_minute(looks))],
        "queues_most": {
            name: max(queues[name] for look in looks for queues in look["queues"]) for name in names
        },
        "queues_end": last["queues"],
        "queues_mean": {name: _halves(looks, warm_at, name) for name in names},
        "left_behind": {name: _footprint()[name] - before[name] for name in ("threads", "tasks")},
        "ends": ends,
    }


def _halves(looks: list[dict[str, Any]], warm_at: float, name: str) -> list[float]:
    """Return how much waited on average in each half of what came after warming up."""
    values = [
        max(queues[name] for queues in look["queues"])
        for look in looks
        if look["seconds"] >= warm_at
    ]
    middle = len(values) // 2
    return [round(mean(half), 1) for half in (values[:middle], values[middle:]) if half]


def _per_minute(looks: list[dict[str, Any]]) -> int:
    """Return how many looks there are a minute, 1 at least."""
    seconds = float(looks[-1]["seconds"])
    return max(round(60 * len(looks) / max(seconds, 1.0)), 1)


def main() -> None:
    """Read the command line, soak, print."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.cli.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--loss", type=float, default=0.05)
    parser.add_argument("--rtt", type=float, default=50.0, help="ms")
    parser.add_argument("--group", type=int, default=3, choices=(1, 2, 3, 4))
    for name in ("modes", "mutes", "reconnects"):
        default = getattr(SoakConfig(1, LinkConfig()), name)
        parser.add_argument(f"--{name}", type=float, default=default, help="seconds between")
    parser.add_argument("--no-events", action="store_true", help="change nothing meanwhile")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    options = vars(parser.parse_args())
    link = LinkConfig(loss=options.pop("loss"), rtt=options.pop("rtt") / 1000)
    path = options.pop("json")
    if options.pop("no_events"):
        options |= {"modes": 0.0, "mutes": 0.0, "reconnects": 0.0}
    config = SoakConfig(60 * options.pop("minutes"), link, **options)
    text = json.dumps(asyncio.run(soak(config, _tell))) + "\n"
    if path is not None:
        path.write_text(text)
    sys.stdout.write(text)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
