# SPDX-License-Identifier: Apache-2.0
"""Shards: tar files of passages as ``webdataset`` writes and reads them (see ``reading``).

A shard ``train-000000.tar`` holds passages of one split, each as ``KEY.mp4`` (256² H.264),
``KEY.512.mp4`` where the source has it, ``KEY.npz`` (see ``labels``) and ``KEY.json``. Passages
lie in an order that mixes people, so that a shard read from front to end is varied.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from talkcodec.errors import InputError, MissingDependency
from training.corpus import Split
from training.prepare.files import write_json

INDEX = "index.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to be written: passages as (clip, key), in this order.

    ``digest`` changes with what is known of them, so that a shard is written again when it must.
    """

    name: str
    split: Split
    passages: tuple[tuple[str, str], ...]
    digest: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        passages = tuple((clip, key) for clip, key in stored["passages"])
        return cls(**{**stored, "passages": passages})


def written(plan: ShardPlan, out: Path) -> dict[str, Any] | None:
    """Return the row of the index of a shard that an earlier run wrote to this plan, or None."""
    file, shard = _row_file(plan, out), out / plan.name
    if not (file.is_file() and shard.is_file()):
        return None
    row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return row if row["plan"] == plan.digest and row["bytes"] == shard.stat().st_size else None


def _row_file(plan: ShardPlan, out: Path) -> Path:
    return out / "rows" / f"{plan.name}.json"


def write_shard(plan: ShardPlan, parts: Path, out: Path) -> dict[str, Any]:
    """Write the shard ``plan`` from the folders in ``parts`` into ``out``, whole or not at all.

    Returns its row of the index: ``name``, ``split``, ``sha256``, ``bytes``, ``keys``, ``plan``.

    Raises:
        InputError: a passage is not in ``parts`` any more.
    """
    webdataset = import_webdataset()
    partial = out / f".{plan.name}.{os.getpid()}"
    try:
        # A fixed time makes equal passages equal bytes.
        with partial.open("wb") as file:
            with webdataset.TarWriter(file, encoder=False, mtime=0, user="", group="") as tar:
                for clip, key in plan.passages:
                    tar.write({"__key__": key, **_files(parts / clip, key)})
            file.flush()
            os.fsync(file.fileno())
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = partial.stat().st_size
        partial.replace(out / plan.name)
    finally:
        partial.unlink(missing_ok=True)
    row = {
        "name": plan.name,
        "split": plan.split,
        "sha256": digest,
        "bytes": size,
        "keys": [key for _, key in plan.passages],
        "plan": plan.digest,
    }
    write_json(_row_file(plan, out), row)
    return row


def _files(folder: Path, key: str) -> dict[str, bytes]:
    files = {
        path.name.removeprefix(f"{key}."): path.read_bytes() for path in folder.glob(f"{key}.*")
    }
    if not {"mp4", "npz", "json"} <= files.keys():
        raise InputError(f"expected the passage {key} in {folder}, found {sorted(files)}")
    return files


def import_webdataset() -> Any:
    """Return the package.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import webdataset
    except ImportError:
        raise MissingDependency(
            "expected the package webdataset==1.0.2, found none: it comes with talkcodec[teacher]"
        ) from None
    return webdataset
