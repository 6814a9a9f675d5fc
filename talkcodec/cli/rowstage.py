# SPDX-License-Identifier: Apache-2.0
"""What the rows of ``rows.py`` share: where they play, what they return, and a call one way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcodec.cli.footage import Footage
from talkcodec.cli.loopback import Call, Meanwhile, Running, loopback
from talkcodec.cli.machine import Machine
from talkcodec.cli.seen import Seen, Span, settling
from talkcodec.encoder import EncoderConfig
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.telemetry import Sink

#: Seconds of a round trip on the paths of the rows; and by which what is done again and again moves
#: on each time, so that it meets other parts of a group.
RTT, PHASE = 0.05, 0.03


@dataclass(frozen=True, slots=True)
class Stage:
    """What a row plays and where: ``seconds`` of call; ``traces``: forward and back."""

    footage: Footage
    machine: Machine
    seconds: float
    traces: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """``found`` in words beside the ``aim``; ``met``: None where nothing is aimed at. ``misses``:
    when, by the clock, something took longer than it should.
    """

    found: str
    aim: str
    met: bool | None
    figures: dict[str, Any]
    misses: Sequence[Span] = ()


async def one_way(
    stage: Stage,
    link: LinkConfig,
    meanwhile: Meanwhile | None = None,
    *,
    group: int = 3,
    sinks: Sequence[Sink] = (),
) -> tuple[Call, Seen]:
    """Play a call; see ``loopback``. Raises ``TalkcodecError`` where there was nothing to see."""
    rate = stage.footage.rate
    call = await loopback(
        stage.footage.frames(stage.seconds),
        EncoderConfig(tick_rate=rate, group=group, redundancy=True),
        link,
        sinks=sinks,
        meanwhile=meanwhile,
        stopwatch=stage.machine.stopwatch,
    )
    return call, Seen(call, rate)


async def settle(stage: Stage, run: Running) -> None:
    """Wait until the call is judged."""
    await run.seen()
    await asyncio.sleep(settling(stage.seconds))


def times(stage: Stage, every: float) -> int:
    """Return how often something that takes ``every`` seconds is done in a call."""
    return max(int((stage.seconds - settling(stage.seconds)) / every), 1)
