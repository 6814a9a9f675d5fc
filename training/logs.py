# SPDX-License-Identifier: Apache-2.0
"""What a run writes about itself: ``log.jsonl``, TensorBoard events and image grids.

::

    RUN/run.json           configuration, data, versions, a hash of the sources: no git needed
    RUN/log.jsonl          one record a line: {"step", "kind": "train" | "validate", …}
    RUN/tensorboard/       the same, for `tensorboard --logdir RUN`
    RUN/pictures/          step-00001000.png
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import cv2
import torch
from torch.utils.tensorboard import SummaryWriter

import talkcodec
from talkcodec.errors import InputError
from talkcodec.types import U8


class Logs:
    """The log of the run in folder ``run``, which goes on after ``step``.

    Records of later steps, written after the checkpoint that a run goes on from, are removed:
    they will be written again.
    """

    def __init__(self, run: Path, step: int) -> None:
        self._run = run
        path = run / "log.jsonl"
        kept = [line for line in _lines(path) if _step(line) <= step]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(kept), encoding="utf-8")
        partial.replace(path)
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()

    def record(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Append a record; numbers that are not finite become null."""
        found = {key: value if math.isfinite(value) else None for key, value in values.items()}
        self._file.write(json.dumps({"step": step, "kind": kind, **found}) + "\n")
        self._file.flush()
        for key, value in values.items():
            self._board.add_scalar(f"{kind}/{key}", value, step)

    def picture(self, step: int, picture: U8) -> None:
        """Keep ``picture``, uint8 (H, W, 3) RGB."""
        folder = self._run / "pictures"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"step-{step:08d}.png"), picture[..., ::-1])
        self._board.add_image("validate", picture, step, dataformats="HWC")


def stamp(run: Path, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Write ``RUN/run.json``: what is run, with what, on what."""
    about = {
        "config": dict(config),
        "data": dict(data),
        "talkcodec": talkcodec.__version__,
        "sources_sha256": sources_hash(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    partial = run / "run.json.partial"
    partial.write_text(json.dumps(about, indent=1, default=str), encoding="utf-8")
    partial.replace(run / "run.json")


def check_data(run: Path, data: Mapping[str, Any]) -> None:
    """Refuse to go on with ``run`` on other data: one licence would be told, and two used.

    Raises:
        InputError: ``run.json`` tells of other data than ``data``, or of none.
    """
    path = run / "run.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"expected what was trained on in {path}, found {error!r}") from None
    found = json.loads(json.dumps(dict(data), default=str))
    if found != before:
        raise InputError(
            f"expected the data that {path} tells of, {json.dumps(before)}, "
            f"found {json.dumps(found)}"
        )


def sources_hash() -> str:
    """Return a sha256 over everything that training executes of this project."""
    package = Path(talkcodec.__file__).parent
    folders = (Path(__file__).parent, package / "models")
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _lines(path: Path) -> list[str]:
    """Return the whole lines of ``path``; a last one cut short by a crash is none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def _step(line: str) -> int:
    return int(json.loads(line)["step"])
