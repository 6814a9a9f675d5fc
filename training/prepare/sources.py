# SPDX-License-Identifier: Apache-2.0
"""The videos of a folder, and who and whose they are.

With a ``manifest.tsv`` (columns ``id``, ``split``, ``identity``, ``repo_licence``; the videos are
``clips/SPLIT/ID.mp4``) those are taken from it. Without one every video below the folder is
taken, a person is what the option ``identity`` finds, else the first sub-folder, else the file,
and a hash of the person decides on the split: one person is never in both.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, cast

from talkcodec.errors import InputError
from training.corpus import PERMISSIVE, Split
from training.prepare.options import Options

SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts"})

#: Licence of clips that no manifest speaks for.
UNSTATED = "unstated"

_COLUMNS = ("id", "split", "identity", "repo_licence")
#: Longest name, so that a name, a passage and a suffix stay within a tar header's 100 bytes.
_NAME_LIMIT = 72


@dataclass(frozen=True, slots=True)
class Source:
    """One video. ``name`` is unique in its folder and safe in file names."""

    name: str
    path: Path
    identity: str
    split: Split
    licence: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        return cls(**{**stored, "path": Path(stored["path"])})


@dataclass(frozen=True, slots=True)
class Found:
    """``sources`` by name, and why others are left out: reason to number of clips."""

    sources: list[Source]
    left_out: dict[str, int]
    manifest: bool


def find_sources(folder: Path, options: Options) -> Found:
    """Return the videos in ``folder`` that ``options`` ask for.

    Raises:
        InputError: there is no such folder or no video in it, the manifest lacks a column or
            a video, or has one person in both splits.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of videos, found {folder}")
    manifest = folder / "manifest.tsv"
    has_manifest = manifest.is_file()
    found = _listed(folder, manifest) if has_manifest else _lying(folder, options)
    if not found:
        raise InputError(f"expected videos in {folder}, found none")
    _check_names(found)
    _check_disjoint(found)
    left_out: dict[str, int] = {}
    kept = []
    for source in sorted(found, key=lambda source: source.name):
        reason = _refusal(source, options, manifest=has_manifest)
        if reason is None:
            kept.append(source)
        else:
            left_out[reason] = left_out.get(reason, 0) + 1
    return Found(kept, left_out, has_manifest)


def _refusal(source: Source, options: Options, *, manifest: bool) -> str | None:
    if options.split is not None and source.split != options.split:
        return "other split"
    # Without a manifest nobody said anything: the clips are the user's own to clear.
    if manifest and options.licence == "permissive" and source.licence not in PERMISSIVE:
        return "licence"
    return None


def _listed(folder: Path, manifest: Path) -> list[Source]:
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    out = []
    for row in rows:
        absent = [column for column in _COLUMNS if not row.get(column)]
        if absent:
            raise InputError(f"expected a column {absent[0]} in {manifest}, found none")
        if row["split"] not in ("train", "val"):
            raise InputError(f"expected train or val in {manifest}, found {row['split']}")
        path = folder / "clips" / row["split"] / f"{row['id']}.mp4"
        if not path.is_file():
            raise InputError(f"expected {path} as {manifest.name} says, found none")
        split = cast("Split", row["split"])
        name = safe_name(row["id"])
        out.append(Source(name, path.resolve(), row["identity"], split, row["repo_licence"]))
    return out


def _lying(folder: Path, options: Options) -> list[Source]:
    out = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        below = path.relative_to(folder)
        if any(part.startswith(".") for part in below.parts):
            continue
        identity = _identity(below, options.identity)
        split = split_of(identity, options.val_share)
        name = safe_name(str(below.with_suffix("")))
        out.append(Source(name, path.resolve(), identity, split, UNSTATED))
    return out


def _check_names(sources: list[Source]) -> None:
    """Refuse two videos of one name (two suffixes, say): which is meant is not ours to say."""
    by_name: dict[str, Source] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise InputError(
                f"expected one video a name, found {other.path.name} and {source.path.name}"
            )


def _identity(below: Path, pattern: str | None) -> str:
    if pattern is not None:
        match = re.search(pattern, below.as_posix())
        if match is None or not match[1]:
            raise InputError(f"expected {pattern!r} to match every path, found {below}")
        return match[1]
    return below.parts[0] if len(below.parts) > 1 else below.stem


def split_of(identity: str, val_share: float) -> Split:
    """Return the split of a person: the same on every machine and in every run."""
    digest = hashlib.sha256(identity.encode()).digest()
    return "val" if int.from_bytes(digest[:8], "big") < val_share * 2**64 else "train"


def safe_name(raw: str) -> str:
    """Return ``raw`` as letters, digits, ``-`` and ``_``; a hash keeps changed names apart."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", raw.replace("/", "__"))
    if plain == raw and len(raw) <= _NAME_LIMIT:
        return raw
    return f"{plain[-_NAME_LIMIT:]}-{hashlib.sha256(raw.encode()).hexdigest()[:8]}"


def _check_disjoint(sources: list[Source]) -> None:
    split: dict[str, Split] = {}
    for source in sources:
        if split.setdefault(source.identity, source.split) != source.split:
            raise InputError(
                f"expected each person in one split, found {source.identity} in train and val"
            )
