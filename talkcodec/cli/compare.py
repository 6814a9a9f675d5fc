# SPDX-License-Identifier: Apache-2.0
"""``talkcodec compare``: our codec beside the classical ones, on the user's own clips."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from talkcodec.cli.output import Json
from talkcodec.errors import InputError
from talkcodec.names import DEFAULT_RENDERER, DEFAULT_TRACKER, RendererName

_FILES = ("report.html", "report.json", "rd.png", "side_by_side.mp4")


Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Video files.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the report files.")]
Codecs = Annotated[str, typer.Option(help="Classical codecs, comma separated.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Also their best offline settings (slow).")
]
Every = Annotated[int, typer.Option(min=1, help="Score one frame in so many.")]
Seconds = Annotated[float | None, typer.Option(min=0.2, help="Use at most this much of each clip.")]
Metrics = Annotated[
    str | None, typer.Option(help="Further metrics, comma separated; all by default.")
]
Sweep = Annotated[
    bool, typer.Option("--sweep", help="Run our codec at several rates, for BD-rate.")
]
Tracker = Annotated[str, typer.Option(help="Face tracker of our codec; MediaPipe always judges.")]
Renderer = Annotated[RendererName, typer.Option(help="What draws our codec's pictures.")]
Reuse = Annotated[
    Path | None, typer.Option(help="An earlier report.json: its ladders hold for the same clips.")
]


def compare(
    inputs: Inputs,
    out: Out,
    codecs: Codecs = "x264,x265,vp9,av1",
    offline: Offline = False,
    every: Every = 10,
    seconds: Seconds = None,
    metrics: Metrics = None,
    sweep: Sweep = False,
    tracker: Tracker = DEFAULT_TRACKER,
    renderer: Renderer = DEFAULT_RENDERER,
    reuse: Reuse = None,
    as_json: Json = False,
) -> None:
    """Compare with classical codecs at equal LPIPS and DISTS and write a report.

    A clip that cannot be compared does not end the others; the exit status is 1 then.
    """
    import cv2

    from talkcodec.bench.compare import CompareOptions, Comparison
    from talkcodec.bench.report import headline, summary
    from talkcodec.metrics import NAMES

    cv2.setNumThreads(1)
    options = CompareOptions(
        codecs=tuple(name for name in codecs.split(",") if name),
        offline=offline,
        every=every,
        seconds=seconds,
        sweep=sweep,
        tracker=tracker,
        renderer=renderer,
        reuse=reuse,
        metrics=NAMES if metrics is None else tuple(n for n in metrics.split(",") if n),
    )

    def progress(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    report = Comparison(options, progress).run(inputs, out)
    for name, reason in report.absent_metrics.items():
        progress(f"not measured: {name} ({reason})")
    timings = report.metric_milliseconds.items()
    progress("ms a frame: " + ", ".join(f"{name} {ms:.1f}" for name, ms in timings))
    found = summary(report)
    files = [str(out / name) for name in _FILES]
    if as_json:
        sys.stdout.write(json.dumps({**found, "files": files}) + "\n")
    else:
        sys.stdout.write(headline({"summary": found}) + "\n" + "\n".join(files) + "\n")
    if report.failed:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in report.failed)
        raise InputError(f"expected to compare {len(inputs)} clips, found {reasons}")
