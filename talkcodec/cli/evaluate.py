# SPDX-License-Identifier: Apache-2.0
"""``talkcodec train evaluate``: the tracker that ships, beside its teacher."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from talkcodec.cli.output import Json, print_json, train_packages


def evaluate(
    data: Annotated[Path, typer.Argument(help="Folder with manifest.tsv and clips/.")],
    labels: Annotated[Path, typer.Option(help="What python -m training.label wrote.")] = Path(
        "runs/labels"
    ),
    unsmoothed: Annotated[
        Path | None, typer.Option(help="What it wrote with --unsmoothed, to measure against too.")
    ] = None,
    empty: Annotated[
        Path | None, typer.Option(help="Folder of pictures without faces, for false alarms.")
    ] = None,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("runs/tracker.json"),
    frames: Annotated[int, typer.Option(min=2, help="Frames a person, for the conditions.")] = 75,
    every: Annotated[int, typer.Option(min=1, help="Frames between two cold looks.")] = 5,
    as_json: Json = False,
) -> None:
    """Measure the face tracker on val clips: errors, jitter, detection, bad pictures, speed."""
    import cv2

    with train_packages():
        from training.evaluate.report import tables
        from training.evaluate.run import EvaluateOptions, evaluate, write

    cv2.setNumThreads(1)
    options = EvaluateOptions(data, labels, unsmoothed, empty, frames=frames, every=every)
    content = evaluate(options, lambda line: typer.echo(line, err=True))
    write(out, content)
    if as_json:
        print_json(content)
    else:
        sys.stdout.write(tables(content) + "\n")
