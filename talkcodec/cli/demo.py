# SPDX-License-Identifier: Apache-2.0
"""``talkcodec demo``: a loopback call over a real aiortc pair, measured and recorded."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talkcodec.cli.reports import Group, Stats, StatsPort, check_group, open_reports
from talkcodec.errors import InputError, reason

if TYPE_CHECKING:
    from talkcodec.cli.loopback import Call
    from talkcodec.rtc.recording import Recording
    from talkcodec.rtc.telemetry import Sink
    from talkcodec.types import Frame

MAX_SECONDS = 3600.0


def demo(
    seconds: Annotated[float, typer.Option(help="Length of the call; a file may end it.")] = 10.0,
    headless: Annotated[bool, typer.Option("--headless", help="Show no window.")] = False,
    input: Annotated[  # noqa: A002  the option's name
        str | None,
        typer.Option(help="Video file, or 'camera'. Else a camera if there is one, or a portrait."),
    ] = None,
    link: Annotated[
        str,
        typer.Option(
            help="Path, as in loss=0.3,rtt=50,rate=40k; also burst=, jitter=, reorder=, duplicate=,"
            " queue=, blackout=START+LENGTH (ms), trace=FILE (Mahimahi)."
        ),
    ] = "",
    group: Group = 3,
    stats: Stats = None,
    stats_port: StatsPort = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the files written.")] = Path("demo-out"),
) -> None:
    """Call yourself: camera or file in, a moving face out at a few kbit/s."""
    if not 0 < seconds <= MAX_SECONDS:
        raise InputError(f"expected 0 to {MAX_SECONDS:g} seconds, found {seconds:g}")
    check_group(group)
    call, recording, tick_rate = _call(
        seconds, input, link, group, open_reports(stats, stats_port, _tell), window=not headless
    )
    files = _write(recording, tick_rate, out)
    summary = summarise(call, files)
    if json:
        typer.echo(json_format.dumps(summary))
        return
    _print(call, summary)


def summarise(call: Call, files: list[Path]) -> dict[str, Any]:
    """Return the JSON object of ``--json``. Rates count everything sent, set-up included."""
    payload = call.sent.payload_bytes + call.media.video_bytes
    forward, back = call.wire.forward.offered_bytes, call.wire.back.offered_bytes
    return {
        "payload_kbps": _kbps(payload, call.seconds),
        "wire_kbps_forward": _kbps(forward, call.seconds),
        "wire_kbps_back": _kbps(back, call.seconds),
        "steady_wire_kbps": steady_rates(call),
        "frames_sent": call.sent.frames_encoded,
        "frames_shown": call.received.frames_shown,
        "freezes_over_200ms": call.received.freezes,
        "motion_delay_ms": {
            "p50": _quantile_ms(call.delays, 0.5),
            "p95": _quantile_ms(call.delays, 0.95),
            "max": _quantile_ms(call.delays, 1.0),
        },
        "delay_parts_ms": delay_parts(call),
        "references": call.sent.references,
        "mode_switches": call.media.mode_switches,
        "files": [str(path) for path in files],
    }


def steady_rates(call: Call) -> dict[str, float] | None:
    """Return what the wire carried each way after the first picture, None if there was none.

    Setting up and the first reference are over by then; everything else counts, later references,
    reports, acknowledgements and ICE's checks included.
    """
    steady = call.steady
    if steady is None or steady.seconds <= 0:
        return None
    forward, back = (_kbps(size, steady.seconds) for size in (steady.forward, steady.back))
    return {"forward": forward, "back": back, "both": round(forward + back, 3)}


def delay_parts(call: Call) -> dict[str, float | None]:
    """Return what the delay is made of, in ms, as both ends saw it last; ``path`` is one way.

    ``group``: that the first frame of a packet waits for the last; ``wait``: that playout holds
    the fastest packet back, so that others may come later, and the last frame of each with them.
    """
    sent, received = call.sent, call.received
    parts = {
        "group": sent.group_time,
        "encode": sent.encode_time,
        "path": None if sent.rtt is None else sent.rtt / 2,
        "wait": received.playout_time,
        "draw": received.draw_time,
    }
    return {name: None if part is None else round(1000 * part, 1) for name, part in parts.items()}


def _call(
    seconds: float, name: str | None, link: str, group: int, sinks: list[Sink], *, window: bool
) -> tuple[Call, Recording, Fraction]:
    import asyncio

    from talkcodec.cli.loopback import has_display, loopback
    from talkcodec.encoder import EncoderConfig
    from talkcodec.rtc.linktext import parse_link
    from talkcodec.rtc.recording import Recording

    path = parse_link(link)
    recording = Recording()
    with _source(name, seconds) as (frames, tick_rate):
        # The coarse copies cost 0.1 kbit/s and repair every loss of a single group.
        config = EncoderConfig(tick_rate=tick_rate, group=group, redundancy=True)
        window = window and has_display()
        call = asyncio.run(loopback(frames, config, path, recording, window=window, sinks=sinks))
    return call, recording, tick_rate


@contextmanager
def _source(name: str | None, seconds: float) -> Iterator[tuple[Iterator[Frame], Fraction]]:
    """Open what ``--input`` names; yield its frames and their tick rate."""
    from talkcodec.cli.footage import limited, rehearsed
    from talkcodec.media.camera import Camera, has_camera
    from talkcodec.media.reader import VideoReader

    found = name in {None, "camera"} and has_camera()
    if name == "camera" and not found:
        raise InputError("expected a camera, found none")
    if found:
        _tell("input: the camera")
        with Camera() as camera:
            yield limited(camera, seconds), Fraction(30)
    elif name is None:
        from talkcodec.media.sources import Track, builtin_source

        _tell("input: the built-in portrait (no camera found; --input FILE takes any video)")
        rate = Track.load().rate
        yield rehearsed(builtin_source(seconds), seconds), rate
    else:
        with VideoReader(name) as reader:
            yield limited(reader, seconds), reader.info.tick_rate


def _write(recording: Recording, tick_rate: Fraction, out: Path) -> list[Path]:
    """Write what was seen; return the paths."""
    import numpy as np

    from talkcodec.media.writer import VideoWriter

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"expected a folder to write to, found {out}: {reason(error)}") from None
    received, both, sheet = (
        out / "received.mp4",
        out / "side_by_side.mp4",
        out / "contact_sheet.png",
    )
    recording.contact_sheet(sheet)
    first = recording.first_tick
    with (
        VideoWriter(received, tick_rate, synthesised=True) as one,
        VideoWriter(both, tick_rate, synthesised=True) as two,
    ):
        for tick, left, right in recording.pairs():
            one.write(right, tick - first)
            two.write(np.hstack([left, right]), tick - first)
    return [received, both, sheet]


def _print(call: Call, summary: dict[str, Any]) -> None:
    delay = summary["motion_delay_ms"]
    first = "never" if call.first_picture is None else f"after {call.first_picture:.2f} s"
    frames = f"{summary['frames_sent']} frames sent, {summary['frames_shown']} shown"
    freezes = f"{summary['freezes_over_200ms']} freezes over 200 ms"
    motion = f"motion {_kbps(call.sent.motion_bytes, call.seconds):.2f}"
    references = f"{summary['references']} references {call.sent.reference_bytes} B"
    wire = (
        f"{summary['wire_kbps_forward']:.2f} kbit/s forward, {summary['wire_kbps_back']:.2f} back"
    )
    steps = f"{delay['p50']} ms median, {delay['p95']} ms for 95 %, {delay['max']} ms at most"
    typer.echo(f"call      {call.seconds:.1f} s, {frames}, first picture {first}, {freezes}")
    typer.echo(f"payload   {summary['payload_kbps']:.2f} kbit/s: {motion}, {references}")
    if call.media.mode_switches:
        video = f"{call.media.video_pictures} pictures, {call.media.video_bytes} B"
        typer.echo(f"video     {video}, in {call.media.mode_switches} changes of mode")
    typer.echo(f"wire      {wire} (IP, UDP, DTLS, SCTP and set-up included)")
    rates = summary["steady_wire_kbps"]
    if rates is not None:
        ways = f"{rates['forward']:.2f} forward, {rates['back']:.2f} back"
        typer.echo(f"          {ways} after the first picture: {rates['both']:.2f} both ways")
    typer.echo(f"delay     {steps if call.delays else 'of nothing'}, from camera to screen")
    parts = [f"{name} {part} ms" for name, part in summary["delay_parts_ms"].items()]
    typer.echo(f"          of it {', '.join(parts)}")
    for path in summary["files"]:
        typer.echo(f"wrote     {path}")


def _kbps(size: int, seconds: float) -> float:
    return round(size * 8 / seconds / 1000, 3)


def _quantile_ms(delays: tuple[float, ...], quantile: float) -> float | None:
    if not delays:
        return None
    ordered = sorted(delays)
    return round(1000 * ordered[min(int(len(ordered) * quantile), len(ordered) - 1)], 1)


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
