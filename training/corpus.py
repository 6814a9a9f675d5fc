# SPDX-License-Identifier: Apache-2.0
"""The clips we train and measure on, and the landmarks a teacher found in them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import CANVAS, F32, F64, U8, Bool

Split = Literal["train", "val"]

#: Where a checkout of the project finds the research clips; absent elsewhere.
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Licences under which weights that ship may be trained.
PERMISSIVE = frozenset({"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0"})

#: Clips on which the teacher misses or jumps.
UNRELIABLE = frozenset(
    f"t_p{name}"
    for name in (
        "021_c0052_0", "064_c0273_0", "123_c0087_0", "034_c0144_0", "091_c0194_0",
        "111_c0025_0", "154_c0035_0", "020_c0384_0", "150_c0034_0", "168_c0051_0",
    )
)  # fmt: skip

#: People of the val split who wear glasses.
GLASSES = frozenset({99, 138})


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of the manifest. ``identity`` is an anonymous number."""

    name: str
    split: Split
    identity: int
    licence: str
    rate: Fraction
    seconds: float
    path: Path


@dataclass(frozen=True, slots=True)
class Labels:
    """What the teacher saw. ``landmarks``: float32 (T, 478, 3) in source pixels; ``found``: bool
    (T,); ``width``, ``height`` of the source.
    """

    landmarks: F32
    found: Bool
    width: int
    height: int

    def on_canvas(self) -> F64:
        """Return the landmarks in canvas units of the picture's centre square."""
        side = min(self.width, self.height)
        offset = ((self.width - side) // 2, (self.height - side) // 2, 0)
        return np.asarray((self.landmarks - offset) * (CANVAS / side), np.float64)


def clips(data: Path, split: Split, *, permissive: bool = False, seconds: float = 0) -> list[Clip]:
    """Return the usable clips of ``split`` that last at least ``seconds``, by name.

    Raises:
        InputError: there is no manifest at ``data``.
    """
    manifest = data / "manifest.tsv"
    if not manifest.is_file():
        raise InputError(f"expected {manifest}, found none: clips do not travel with the project")
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    out = [
        Clip(
            row["id"],
            split,
            int(row["identity"]),
            row["repo_licence"],
            Fraction(row["fps"]).limit_denominator(1001),
            float(row["seconds"]),
            data / "clips" / split / f"{row['id']}.mp4",
        )
        for row in rows
        if row["split"] == split
    ]
    return sorted(
        (
            clip
            for clip in out
            if clip.seconds >= seconds
            and clip.name not in UNRELIABLE
            and (not permissive or clip.licence in PERMISSIVE)
        ),
        key=lambda clip: clip.name,
    )


def unseen(data: Path) -> list[Clip]:
    """Return train clips that weights that ship have not seen: their licence forbids it, and no
    other clip shows their people. As good as val clips to measure on, and turned further aside.
    """
    known = {clip.identity for clip in clips(data, "train", permissive=True)}
    return [
        clip
        for clip in clips(data, "train")
        if clip.licence not in PERMISSIVE and clip.identity not in known
    ]


def pictures(clip: Clip) -> list[U8]:
    """Return all frames of ``clip``: uint8 (H, W, 3) each."""
    with av.open(str(clip.path)) as container:
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in container.decode(video=0)
        ]


def canvas(picture: U8, side: int = CANVAS) -> U8:
    """Return the centre square of ``picture`` at ``side``²."""
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = picture[top : top + short, left : left + short]
    if short == side:
        return np.ascontiguousarray(square)
    method = cv2.INTER_AREA if short > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (side, side), interpolation=method), np.uint8)


def load_labels(folder: Path, clip: Clip) -> Labels:
    """Read what ``python -m training.label`` wrote for ``clip``.

    Raises:
        InputError: the clip has not been labelled.
    """
    file = folder / f"{clip.name}.npz"
    if not file.is_file():
        raise InputError(f"expected {file}, found none: run python -m training.label first")
    with np.load(file, allow_pickle=False) as stored:
        width, height = (int(v) for v in stored["size"])
        return Labels(stored["landmarks"], stored["found"], width, height)
