# SPDX-License-Identifier: Apache-2.0
"""``talkcodec bench``: how fast this machine encodes and decodes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from talkcodec.cli.output import Json, print_json
from talkcodec.errors import InputError
from talkcodec.names import DEFAULT_RENDERER, RendererName


def bench(
    seconds: Annotated[float, typer.Option(min=0.4, max=600, help="Length of the input.")] = 8.0,
    cores: Annotated[int, typer.Option(min=1, help="Cores to use, of those there are.")] = 1,
    size: Annotated[int | None, typer.Option(help="256 or 512; by default both.")] = None,
    renderer: Annotated[RendererName, typer.Option(help="What draws.")] = DEFAULT_RENDERER,
    as_json: Json = False,
) -> None:
    """Time every stage on the built-in source, at 256x256 and 512x512."""
    from talkcodec.bench.speed import run
    from talkcodec.bitstream.header import SIZES

    if size is not None and size not in SIZES:
        raise InputError(f"expected a size of {SIZES[0]} or {SIZES[1]}, found {size}")
    results = {}
    for side in SIZES if size is None else (size,):
        if not as_json:
            typer.echo(f"measuring {side}x{side}", err=True)
        results[str(side)] = run(side, seconds, cores, renderer)
    if as_json:
        found = {"seconds": seconds, "renderer": renderer, "sizes": results}
        print_json(found)
        return
    for side_name, result in results.items():
        typer.echo(_table(side_name, result))


def _table(side: str, result: dict[str, Any]) -> str:
    cores = f"{result['cores']} core{'s' * (result['cores'] != 1)}"
    speed = f"{result['fps']} frames/s on {cores}"
    rows = [f"{side}x{side}: {speed}, {result['peak_rss_mb']} MB at most"]
    rows.append(f"  {'stage':18}{'median ms':>10}{'p95 ms':>10}{'mean ms':>10}{'calls':>8}")
    for name, stage in result["stages"].items():
        rows.append(
            f"  {name:18}{stage['median_ms']:>10.2f}{stage['p95_ms']:>10.2f}"
            f"{stage['mean_ms']:>10.2f}{stage['calls']:>8}"
        )
    return "\n".join(rows)
