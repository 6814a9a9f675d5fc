# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: what a prepared folder looks like, and what was refused.

Sheets are uint8 (H, W, 3) RGB. Passages are chosen by the hashes of their keys, so the same folder
gives the same sheets.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import U8
from training.prepare.reading import Passage
from training.prepare.statistics import QUANTITIES, measure

PEOPLE = 60
LABELLED = 10
#: Pictures at each end of a quantity, and of each reason to refuse.
ENDS, REFUSED = 8, 8

_SMALL, _MIDDLE, _BIG, _CAPTION = 112, 168, 224, 14
_DOT, _EDGE = (90, 255, 90), (255, 80, 200)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a quantity and the passages that reach furthest there."""

    quantity: str
    high: bool
    keys: tuple[str, ...]


def mixed(keys: Sequence[str]) -> list[str]:
    """Return ``keys`` in an order that is arbitrary, and always the same."""
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())


def one_of_each(passages: Sequence[Row], count: int) -> list[str]:
    """Return the keys of ``count`` passages, of as many people as possible."""
    people: dict[str, list[str]] = defaultdict(list)
    identities = {p["about"]["key"]: p["about"]["identity"] for p in passages}
    for key in mixed(list(identities)):
        people[identities[key]].append(key)
    depth = max((len(keys) for keys in people.values()), default=0)
    rounds = [keys[i] for i in range(depth) for keys in people.values() if i < len(keys)]
    return rounds[:count]


def ends(passages: Sequence[Row]) -> list[End]:
    """Return both ends of every quantity, with the passages to look at."""
    out = []
    for name in QUANTITIES:
        for high in (False, True):
            reach = {p["about"]["key"]: _reach(p["histograms"][name], high=high) for p in passages}
            keys = sorted(mixed(list(reach)), key=lambda key: reach[key], reverse=high)
            out.append(End(name, high, tuple(keys[:ENDS])))
    return out


def _reach(counts: Sequence[int], *, high: bool) -> int:
    filled = [index for index, count in enumerate(counts) if count] or [0]
    return filled[-1] if high else filled[0]


def people_sheet(passages: Sequence[Passage]) -> U8:
    """Return the middle picture of each passage."""
    return _grid([_tile(_frame(p, len(p.labels) // 2), _SMALL, p.key) for p in passages], 12)


def label_sheet(passages: Sequence[Passage]) -> U8:
    """Return the middle picture of each passage with the landmarks and the person's outline."""
    return _grid([_tile(_labelled(p), _BIG, p.key) for p in passages], 5)


def end_sheet(chosen: Sequence[End], passages: Mapping[str, Passage]) -> U8:
    """Return a row for each end: the frame of each passage that reaches furthest."""
    tiles = []
    for end in chosen:
        row = []
        for key in end.keys:
            passage = passages[key]
            frame, value = _furthest(passage, end)
            told = end.quantity if value is None else f"{end.quantity} {value:.3g}"
            row.append(_tile(_frame(passage, frame), _SMALL, told))
        tiles += row + [_blank(_SMALL)] * (ENDS - len(row))
    return _grid(tiles, ENDS)


def _furthest(passage: Passage, end: End) -> tuple[int, float | None]:
    """Return the frame to show and its value; labels know nothing of brightness."""
    values = measure(passage.labels).get(end.quantity)
    if values is None or not len(values):
        return len(passage.labels) // 2, None
    place = int(values.argmax() if end.high else values.argmin())
    return int(np.flatnonzero(passage.labels.found)[place]), float(values[place])


def refused_sheet(refusals: Sequence[Mapping[str, str]], paths: Mapping[str, Path]) -> U8 | None:
    """Return the middle pictures of some refused clips, the reason below each, or None."""
    tiles = []
    by_reason: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in refusals:
        by_reason[row["reason"]].append(row)
    for reason, rows in sorted(by_reason.items()):
        for row in rows[:REFUSED]:
            # The key of a passage is its clip's name and a number.
            path = paths.get(row["key"]) or paths.get(row["key"].rpartition("-")[0])
            picture = None if path is None else _middle(path)
            if picture is not None:
                tiles.append(_tile(picture, _MIDDLE, f"{reason} {row['told']}"))
    return _grid(tiles, REFUSED) if tiles else None


def _labelled(passage: Passage) -> U8:
    index = len(passage.labels) // 2
    picture = cv2.resize(_frame(passage, index), (2 * _BIG, 2 * _BIG))
    scale = picture.shape[0] / 256
    mask = passage.labels.mask
    if mask is not None:
        person = cv2.resize(mask[index], picture.shape[:2], interpolation=cv2.INTER_LINEAR)
        outlines, _ = cv2.findContours(
            np.asarray(person > 127, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, outlines, -1, _EDGE, 3)
    if passage.labels.found[index]:
        for x, y in np.rint(passage.labels.landmarks[index, :, :2] * scale).astype(int):
            cv2.circle(picture, (int(x), int(y)), 1, _DOT, -1)
    return np.asarray(picture, np.uint8)


def _frame(passage: Passage, index: int) -> U8:
    for number, picture in enumerate(passage.pictures()):
        if number == index:
            return picture
    raise InputError(f"expected a frame {index} in {passage.key}, found the end")


def _middle(path: Path) -> U8 | None:
    """Return a picture from the middle of a video, or None: some are refused as unreadable."""
    try:
        with av.open(str(path)) as container:
            if container.duration:
                container.seek(container.duration // 2)
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    except (OSError, ValueError, StopIteration, IndexError):
        return None
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side], np.uint8)


def _tile(picture: U8, side: int, caption: str) -> U8:
    out = _blank(side)
    out[:side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    room = side // 6  # letters
    told = caption if len(caption) <= room else f"{caption[: room - 2]}.."
    cv2.putText(out, told, (1, side + 10), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (0, 0, 0), 1, cv2.LINE_AA)
    return out


def _blank(side: int) -> U8:
    return np.full((side + _CAPTION, side, 3), 255, np.uint8)


def _grid(tiles: Sequence[U8], columns: int) -> U8:
    if not tiles:
        return _blank(_SMALL)
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    padded = [*tiles, *[np.full_like(tiles[0], 255)] * (rows * columns - len(tiles))]
    lines = [np.hstack(padded[row * columns : (row + 1) * columns]) for row in range(rows)]
    return np.ascontiguousarray(np.vstack(lines))


def needed(passages: Sequence[Row]) -> Iterator[str]:
    """Yield the keys of all passages of a split that its sheets show."""
    yield from one_of_each(passages, PEOPLE)
    for end in ends(passages):
        yield from end.keys
