# SPDX-License-Identifier: Apache-2.0
"""``talkcodec train prepare`` and ``store``: from a folder of videos to what training reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from talkcodec.cli.output import Json, print_json, progress
from talkcodec.errors import InputError

if TYPE_CHECKING:
    from training.corpus import Split
    from training.prepare.executors import Executor
    from training.prepare.job import Done
    from training.prepare.options import Licence


def prepare(
    clips: Annotated[Path, typer.Argument(help="Folder of videos, with or without manifest.tsv.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to, or to go on in.")],
    *,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Ray cluster: HOST:PORT, auto, or local for --workers here."
        ),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Clips of the manifest to take: permissive or any.")
    ] = "permissive",
    split: Annotated[str | None, typer.Option(help="Take train or val only.")] = None,
    identity: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Its first group names the person in a clip's path."),
    ] = None,
    val_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the people in val, without manifest.")
    ] = 0.05,
    min_seconds: Annotated[float, typer.Option(help="Refuse shorter passages.")] = 1.0,
    max_seconds: Annotated[float, typer.Option(help="Divide longer passages.")] = 60.0,
    mask: Annotated[bool, typer.Option("--mask/--no-mask", help="Label the person mask.")] = True,
    shard_mb: Annotated[float, typer.Option(help="Megabytes of a shard.")] = 256.0,
    as_json: Json = False,
) -> None:
    """Cut, label, filter and pack a folder of videos; run again, it goes on."""
    import cv2

    from training.prepare.job import prepare as run
    from training.prepare.options import Options

    cv2.setNumThreads(1)
    options = Options(
        licence=cast("Licence", licence),
        split=cast("Split | None", split),
        identity=identity,
        val_share=val_share,
        min_seconds=min_seconds,
        max_seconds=max_seconds,
        mask=mask,
        shard_megabytes=shard_mb,
    )
    done = run(clips, out, options, _executor(workers, ray), progress)
    for name, error in sorted(done.failed.items()):
        typer.echo(f"not prepared: {name} ({error})", err=True)
    if as_json:
        print_json(_result(out, done))
    else:
        _tell(out, done)


def store(
    prepared: Annotated[Path, typer.Argument(help="Folder that `prepare` wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    *,
    split: Annotated[str, typer.Option(help="train or val: a store is for one of them.")],
    stride: Annotated[int, typer.Option(min=1, help="Take one frame in so many.")] = 1,
    as_json: Json = False,
) -> None:
    """Unpack prepared passages to arrays that training reads at random."""
    from training.prepare.to_store import build_store

    if split not in ("train", "val"):
        raise InputError(f"expected a split of train or val, found {split}")
    if (out / "frames.npy").exists():
        raise InputError(f"expected a new folder, found {out} with a store in it")
    made = build_store(prepared, out, cast("Split", split), stride, progress)
    if as_json:
        print_json(
            {
                "frames": made.frames,
                "passages": made.passages,
                "people": made.people,
                "megabytes": round(made.bytes / 1e6, 1),
            }
        )
        return
    typer.echo(
        f"{out}: {made.frames} frames of {made.passages} passages, {made.people} people, "
        f"{made.bytes / 1e9:.2f} GB"
    )


def _executor(workers: int, ray: str | None) -> Executor:
    from training.prepare.executors import OneProcess, Processes

    if ray is not None:
        from training.prepare.ray_data import RayData

        return RayData(ray, workers)
    return OneProcess() if workers == 1 else Processes(workers)


def _result(out: Path, done: Done) -> dict[str, Any]:
    index = done.index
    return {
        "totals": index["totals"],
        "left_out": index["left_out"],
        "rejected": index["rejected"],
        "failed": index["failed"],
        "shards": len(index["shards"]),
        "fresh_clips": done.fresh,
        "seconds": {stage: round(seconds, 2) for stage, seconds in done.seconds.items()},
        "workers": dict(sorted(done.workers.items())),
        "files": [str(out / "index.json"), str(out / "summary.html")],
    }


def _tell(out: Path, done: Done) -> None:
    sums = done.index["totals"]
    for split in ("train", "val"):
        row = sums[split]
        typer.echo(
            f"{split}: {row['minutes']:.1f} minutes, {row['passages']} passages of "
            f"{row['clips']} clips, {row['people']} people, {row['megabytes']:.1f} MB"
        )
    rates = sums["all"]["megabytes_per_minute"]
    typer.echo("MB a minute: " + ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items()))
    out_of = {**done.index["left_out"], **done.index["rejected"]}
    if out_of:
        typer.echo("left out: " + ", ".join(f"{name} {n}" for name, n in sorted(out_of.items())))
    typer.echo(f"{out / 'index.json'}\n{out / 'summary.html'}")
