# SPDX-License-Identifier: Apache-2.0
"""Reading a prepared folder: its index, and its passages in order or some of them."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import U8
from training.corpus import Split
from training.prepare.labels import PassageLabels, unpack
from training.prepare.shards import FORMAT, INDEX


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage as it lies in a shard.

    ``about``: the content of ``KEY.json``. ``video``: the mp4 of the 256² crop; ``large``: that of
    the 512² crop, or None.
    """

    key: str
    about: Mapping[str, Any]
    labels: PassageLabels
    video: bytes
    large: bytes | None

    @property
    def time_base(self) -> Fraction:
        """Seconds in a tick of the labels."""
        return Fraction(self.about["time_base"])

    def pictures(self, *, large: bool = False) -> Iterator[U8]:
        """Yield the frames, uint8 (256, 256, 3) or (512, 512, 3) RGB, one for each label.

        Raises:
            InputError: the large crop is asked for and there is none, or frames are missing.
        """
        data = self.large if large else self.video
        if data is None:
            raise InputError(f"expected a 512² crop of {self.key}, found none")
        count = 0
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            file.write(data)
            file.flush()
            with av.open(file.name) as container:
                for picture in container.decode(video=0):
                    count += 1
                    yield np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
        if count != len(self.labels):
            raise InputError(f"expected {len(self.labels)} frames in {self.key}, found {count}")


def read_index(folder: Path) -> dict[str, Any]:
    """Return ``index.json`` of a prepared folder.

    Raises:
        InputError: there is none, or it is of another format.
    """
    file = folder / INDEX
    if not file.is_file():
        raise InputError(f"expected {file}, found none: run talkcodec train prepare first")
    try:
        index: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"expected JSON in {file}, found {error}") from None
    found = index.get("format") if isinstance(index, dict) else type(index).__name__
    if found != FORMAT:
        raise InputError(f"expected format {FORMAT} in {file}, found {found}")
    return dict(index)


def read_passages(folder: Path, split: Split | None = None) -> Iterator[Passage]:
    """Yield the passages of a prepared folder, shard by shard, those of ``split`` only if given.

    Raises:
        InputError: the folder or a shard is missing, or a passage incomplete.
    """
    for row in read_index(folder)["shards"]:
        if split in (None, row["split"]):
            yield from _read(folder, row, row["keys"])


def pick_passages(
    folder: Path, rows: Sequence[Mapping[str, Any]], keys: AbstractSet[str]
) -> Iterator[Passage]:
    """Yield the passages ``keys`` from the shards ``rows``; the others are not even read.

    Raises:
        InputError: a shard is missing, or a passage incomplete.
    """
    for row in rows:
        wanted = [key for key in row["keys"] if key in keys]
        if wanted:
            yield from _read(folder, row, wanted)


def _read(folder: Path, row: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Passage]:
    path = folder / str(row["name"])
    if not path.is_file():
        raise InputError(f"expected {path} as {INDEX} says, found none")
    samples = _samples(path, frozenset(keys))
    for key in keys:
        found, files = next(samples, ("its end", {}))
        if found != key:
            raise InputError(f"expected {key} in {path}, found {found}")
        yield _passage(key, files, path)


def _samples(shard: Path, keys: AbstractSet[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the files of each of ``keys``, which lie side by side, as they lie in the tar."""
    # Not by webdataset, which leaves closing files to the garbage collector.
    current, files = "", dict[str, bytes]()
    with _readable(shard), tarfile.open(shard, "r:") as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            if key != current and files:
                yield current, files
                files = {}
            current = key
            content = tar.extractfile(member) if key in keys else None
            if content is not None:
                files[suffix] = content.read()
    if files:
        yield current, files


@contextmanager
def _readable(shard: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InputError(f"expected a shard in {shard}, found {error}") from None


def _passage(key: str, files: Mapping[str, bytes], shard: Path) -> Passage:
    for suffix in ("json", "npz", "mp4"):
        if suffix not in files:
            raise InputError(f"expected {key}.{suffix} in {shard}, found none")
    with _readable(shard):
        about = json.loads(files["json"])
    return Passage(key, about, unpack(files["npz"]), files["mp4"], files.get("512.mp4"))
