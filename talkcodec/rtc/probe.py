# SPDX-License-Identifier: Apache-2.0
"""Measures the transport alone: real peers, real sessions, packets of given sizes, no codec.

::

    python -m talkcodec.rtc.probe --link loss=0.05,rtt=50 --seconds 20 --group 3 --reference 3000

prints one JSON object: rates in kbit/s after the connection was made, motion delays and
reference times in ms from sending to arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from talkcodec.bitstream import Reference, StreamHeader, classify
from talkcodec.clock import SystemClock
from talkcodec.rtc.driver import Driver
from talkcodec.rtc.figures import longest, ms, quantiles
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.linktext import parse_link
from talkcodec.rtc.messages import greeting
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.references import PaceConfig
from talkcodec.rtc.relay import UdpRelay
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.transit import Transit
from talkcodec.types import Packet

_TABLES = bytes(8)
_MOTION = 0x80


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """``fps`` frames a second in groups of ``group``, ``frame_bytes`` each; a reference of
    ``reference`` bytes every ``every`` seconds (0 bytes: none), paced at ``pace``
    bit/s at first, in chunks of ``chunk`` bytes at most.
    """

    link: LinkConfig = field(default_factory=LinkConfig)
    seconds: float = 20.0
    fps: float = 25.0
    group: int = 3
    frame_bytes: int = 12
    reference: int = 3000
    every: float = 4.0
    pace: float = 64_000.0
    chunk: int = 450
    seed: int = 0


async def probe(config: ProbeConfig) -> dict[str, Any]:
    """Run one call and return what it measured."""
    clock = SystemClock()
    sender = SenderSession(_TABLES, PaceConfig(config.pace, chunk=config.chunk))
    receiver = ReceiverSession(greeting(_TABLES, (1,)))
    transit = Transit(sender, receiver, clock)

    def arrived() -> None:
        for packet in receiver.packets():
            if classify(packet) == "reference":
                receiver.banked(Reference.parse(packet).sequence)

    ends = Driver(sender, clock, lambda: None), Driver(receiver, clock, arrived)
    relay = await UdpRelay.open(clock=clock, seed=config.seed)
    await ends[0].peer.accept(
        relay.answer(await ends[1].peer.answer(relay.offer(await ends[0].peer.offer())))
    )
    await asyncio.gather(*(end.peer.opened() for end in ends))
    await asyncio.sleep(0.3)
    before = relay.counts.forward.offered_bytes, relay.counts.back.offered_bytes
    relay.impair(config.link)
    await _send(config, sender, ends[0], clock)
    counts = relay.counts
    kbps = 8e-3 / config.seconds
    result = {
        "payload_kbps": round(
            (sender.counts.motion_bytes + sender.counts.reference_bytes) * kbps, 2
        ),
        "wire_kbps_forward": round((counts.forward.offered_bytes - before[0]) * kbps, 2),
        "wire_kbps_back": round((counts.back.offered_bytes - before[1]) * kbps, 2),
        "groups": sender.counts.groups,
        "delivered": round(len(transit.motion) / max(sender.counts.groups, 1), 3),
        "motion_delay_ms": quantiles(each.seconds for each in transit.motion),
        "motion_gap_ms_max": ms(longest(pairwise(each.came for each in transit.motion))),
        "references": sender.counts.references,
        "reference_ms": sorted(round(1000 * each.seconds) for each in transit.references),
        "chunks_repaired": sender.chunks_repaired,
        "completed_by_parity": receiver.references_recovered,
        "rtt_ms": None if sender.rtt is None else round(1000 * sender.rtt, 1),
    }
    relay.impair(LinkConfig())
    await asyncio.gather(*(end.close() for end in ends))
    relay.close()
    return result


async def _send(
    config: ProbeConfig, sender: SenderSession, end: Driver, clock: SystemClock
) -> None:
    """Send groups and references in real time, and wait for what is under way."""
    header = StreamHeader(256, Fraction(25), _TABLES).serialize()
    sender.send(Packet("header", header, 0))
    interval = config.group / config.fps
    start = clock.now()
    sequence = 0
    for number in range(round(config.seconds / interval)):
        if config.reference and number * interval >= sequence * config.every:
            made = Reference(
                sequence % 256, 0, True, 0, (0,), None, None, 1, os.urandom(config.reference)
            ).serialize()
            sender.send(Packet("reference", made, 0))
            sequence += 1
        tick = number * config.group
        named = max(sequence - 2, 0) % 256  # the last but one: the newest is still under way
        head = bytes((_MOTION | (config.group - 1) << 5, tick & 0xFF, tick >> 8 & 0xFF, named))
        motion = head + os.urandom(config.group * config.frame_bytes)
        sender.send(Packet("motion", motion, tick))
        end.pump()
        await asyncio.sleep(max(start + (number + 1) * interval - clock.now(), 0))


def main() -> None:
    """Read the command line, probe, print."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.rtc.probe")
    parser.add_argument("--link", type=parse_link, default=LinkConfig())
    for name in ("seconds", "fps", "every", "pace"):
        parser.add_argument(f"--{name}", type=float, default=getattr(ProbeConfig(), name))
    for name in ("group", "frame_bytes", "reference", "chunk", "seed"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(ProbeConfig(), name))
    config = ProbeConfig(**vars(parser.parse_args()))
    sys.stdout.write(json.dumps(asyncio.run(probe(config))) + "\n")


if __name__ == "__main__":
    main()
