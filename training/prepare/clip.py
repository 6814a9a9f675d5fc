# SPDX-License-Identifier: Apache-2.0
"""One video to its passages: the unit of work that processes and machines share out.

It leaves ``parts/NAME/`` with the passages' files and then ``records/NAME.json``, each whole or
not at all; a video with a record is done.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from talkcodec.errors import InputError
from talkcodec.media.reader import VideoReader
from training.prepare.files import write_json
from training.prepare.options import Options
from training.prepare.passage import Cutting
from training.prepare.quality import LEAST_FACE, Reason
from training.prepare.scan import Scan, Span, scan, spans
from training.prepare.sources import Source
from training.prepare.teacher import Teacher

Record = dict[str, Any]


def parts_folder(out: Path, name: str) -> Path:
    """Return where the passages of clip ``name`` lie until they are in shards."""
    return out / "parts" / name


def record_file(out: Path, name: str) -> Path:
    """Return the file that says that clip ``name`` is done, and what came of it."""
    return out / "records" / f"{name}.json"


def read_record(source: Source, out: Path) -> Record | None:
    """Return what was recorded of a video, or None if it is to be done (again)."""
    file = record_file(out, source.name)
    if not file.is_file():
        return None
    record: Record = json.loads(file.read_text(encoding="utf-8"))
    # A manifest may since have told another person, split or licence.
    now = (source.identity, source.split, source.licence)
    told = [p["about"] for p in record["passages"]]
    same = all((row["identity"], row["split"], row["licence"]) == now for row in told)
    return record if same else None


def prepare_clip(source: Source, out: Path, options: Options) -> Record:
    """Prepare one video, or return the record of when that was done.

    The record: ``clip``, ``passages`` (each ``about``, ``bytes``, ``hashes``, ``histograms``) and
    ``rejected`` (each ``key``, ``reason``, ``told``).
    """
    file = record_file(out, source.name)
    record = read_record(source, out)
    if record is not None:
        return record
    parts = parts_folder(out, source.name)
    work = parts.with_name(f".{source.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        record = _prepare(source, work, options)
        shutil.rmtree(parts, ignore_errors=True)  # of a run that ended before its record
        work.rename(parts)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_json(file, record)
    return record


def _prepare(source: Source, work: Path, options: Options) -> Record:
    rejected: list[dict[str, str]] = []
    passages: list[dict[str, Any]] = []
    record = {"clip": source.name, "passages": passages, "rejected": rejected}

    def reject(key: str, reason: Reason, told: str) -> None:
        rejected.append({"key": key, "reason": reason, "told": told})

    try:
        found = scan(source.path)
        todo = _worth_cutting(source, found, options, reject)
        with Teacher(mask=options.mask) as teacher:
            for done in _cut(source, found, todo, work, teacher):
                verdict = done.figures().verdict(options.min_seconds)
                if verdict is not None:
                    done.discard()
                    reject(done.key, *verdict)
                else:
                    passages.append(done.finish())
    except InputError as error:
        # What came before the damage is of a length that depends on the decoder: all goes.
        passages.clear()
        rejected.clear()
        reject(source.name, "unreadable", str(error))
        for file in work.iterdir():
            file.unlink()
    return record


def _worth_cutting(
    source: Source, found: Scan, options: Options, reject: Any
) -> list[tuple[str, Span]]:
    """Name the passages and refuse at once what the first look suffices to refuse."""
    todo = []
    for number, span in enumerate(spans(found, options)):
        key = f"{source.name}-{number:03d}"
        if span.seconds < options.min_seconds:
            reject(key, "short", f"{span.seconds:.2f} s")
        elif span.height < LEAST_FACE:
            reject(key, "tiny face", f"{span.height:.0f} px")
        else:
            todo.append((key, span))
    if not any(scene.sights for scene in found.scenes):
        reject(source.name, "no face", f"in {len(found.scenes)} scenes")
    return todo


def _cut(
    source: Source, found: Scan, todo: list[tuple[str, Span]], work: Path, teacher: Teacher
) -> Iterator[Cutting]:
    """Read the video again and yield every passage of ``todo`` when its last frame is in."""
    if not todo:
        return
    waiting = iter(todo)
    current = next(waiting, None)
    cutting: Cutting | None = None
    with VideoReader(source.path) as reader:
        for index, frame in enumerate(reader):
            if current is None:
                return
            key, span = current
            if index < span.start:
                continue
            if cutting is None:
                teacher.reset()
                cutting = Cutting(source, key, span, found, work, teacher)
            cutting.add(frame)
            if index == span.stop - 1:
                yield cutting
                cutting, current = None, next(waiting, None)
