# SPDX-License-Identifier: Apache-2.0
"""``talkcodec train export``: from a run's best weights to files that every engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talkcodec.cli.output import Json, print_json, train_packages

if TYPE_CHECKING:
    from training.export import Exported


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to.", show_default="the package's")
    ] = None,
    any_licence: Annotated[
        bool,
        typer.Option("--any-licence", help="Whatever it was trained on; not into the package."),
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Pictures to compare engines on.")] = 16,
    as_json: Json = False,
) -> None:
    """Write a run's best weights as ONNX and safetensors, with their entries of the manifest."""
    with train_packages():
        import onnxscript  # noqa: F401

        from talkcodec import weights
        from training.export import export as write
    done = write(run, out or weights.FOLDER, any_licence=any_licence, samples=samples)
    if as_json:
        print_json(_result(done))
        return
    typer.echo(f"{done.best.name} of step {done.best.step}, score {done.best.score:.5g}")
    for path, size in done.files.items():
        typer.echo(f"{path}: {size / 1e6:.2f} MB")
    typer.echo(f"float16 changes {_told(done.rounding)}")
    for engine, worst in done.parity.items():
        typer.echo(f"{engine} from torch, at most: {_told(worst)}")


def _result(done: Exported) -> dict[str, Any]:
    return {
        "network": done.best.name,
        "step": done.best.step,
        "score": done.best.score,
        "files": {str(path): size for path, size in done.files.items()},
        "rounding": done.rounding,
        "parity": done.parity,
    }


def _told(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2g}" for name, value in values.items())
