# SPDX-License-Identifier: Apache-2.0
"""Options that ``demo`` and ``call`` share: reports of a running call, and what a packet holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.errors import InputError

if TYPE_CHECKING:
    from talkcodec.rtc.telemetry import Sink

Stats = Annotated[
    Path | None, typer.Option(help="Write a report every second to this file, as JSON lines.")
]
StatsPort = Annotated[
    int | None, typer.Option(help="Serve it to Prometheus at this local port; 0: a free one.")
]
Group = Annotated[
    int, typer.Option(help="Frames a packet, 1 to 4: fewer arrive sooner, more cost less.")
]


def check_group(group: int) -> None:
    """Raise ``InputError`` for a group of frames that no packet holds."""
    if not 1 <= group <= 4:
        raise InputError(f"expected a group of 1 to 4 frames, found {group}")


def open_reports(stats: Path | None, port: int | None, tell: Callable[[str], None]) -> list[Sink]:
    """Return what takes reports, and ``tell`` the address of an endpoint."""
    from talkcodec.rtc.telemetry import PrometheusEndpoint, open_sinks

    sinks = open_sinks(stats, port)
    for sink in sinks:
        if isinstance(sink, PrometheusEndpoint):
            tell(f"metrics: http://127.0.0.1:{sink.port}/metrics")
    return sinks
