# SPDX-License-Identifier: Apache-2.0
"""What a call would have of a frame store: reference pictures as decoded, landmarks as tracked.

    python -m training.coded runs/stores/train
    python -m training.coded runs/stores/val --quality 115 115

Adds to a store ``references.npy`` uint8 (R, 256, 256, 3), pictures coded by our own reference
codec in short chains as a call codes them, key pictures at quantisers drawn from a range,
``references.npz`` with their ``frame`` int32 (R,) in the store and their ``quality`` int32 (R,),
and ``tracked.npy`` float32 (N, 478, 3), what the shipped tracker sees in every frame.

    python -m training.coded runs/stores/train --restore

adds ``restored.npy``, the same references as the shipped restorer shows them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from talkcodec.errors import InputError
from talkcodec.face.networks import Details, Landmarker
from talkcodec.face.place import Place
from talkcodec.reference.av1 import (
    INTER_QUALITY,
    KEY_QUALITY,
    Av1PictureDecoder,
    Av1PictureEncoder,
)
from talkcodec.render.restore import Restorer
from talkcodec.types import CANVAS, F32, F64, I32, U8
from training.store import FrameStore

#: References of a clip: so many at least, one for so many frames, so many at most.
LEAST, EVERY, MOST = 6, 8, 48
#: Quantiser indices of key pictures to draw from, the codec's own defaults among them.
QUALITIES = (95, 155)
#: Pictures of a chain at most: the first is a key picture.
CHAIN = 4


@dataclass(frozen=True, slots=True)
class CodedStore:
    """A frame store with its ``references`` and ``tracked`` landmarks; see this module.

    ``restored``: the references as the restorer shows them, None before it has seen them.
    ``of_clip``: by clip the rows of ``frame`` that are its references.
    """

    store: FrameStore
    references: U8
    restored: U8 | None
    frame: I32
    quality: I32
    tracked: F32
    of_clip: dict[int, I32]

    @classmethod
    def open(cls, folder: Path) -> CodedStore:
        """Open the store in ``folder``.

        Raises:
            InputError: there is none, or it has not been coded.
        """
        store = FrameStore.open(folder)
        try:
            references = np.load(folder / "references.npy", mmap_mode="r", allow_pickle=False)
            tracked = np.load(folder / "tracked.npy", mmap_mode="r", allow_pickle=False)
            with np.load(folder / "references.npz", allow_pickle=False) as stored:
                frame, quality = stored["frame"], stored["quality"]
        except (OSError, KeyError, ValueError) as error:
            raise InputError(
                f"expected a coded store in {folder}, found {error}: python -m training.coded"
            ) from None
        if len(tracked) != len(store) or not len(references) == len(frame) == len(quality):
            raise InputError(f"expected parts of one size in {folder}, found others: code it again")
        restored = folder / "restored.npy"
        shown = np.load(restored, mmap_mode="r", allow_pickle=False) if restored.exists() else None
        if shown is not None and shown.shape != references.shape:
            raise InputError(f"expected {restored} of {len(references)} pictures: restore it again")
        clip = store.clip[frame]
        of_clip = {int(c): np.flatnonzero(clip == c).astype(np.int32) for c in np.unique(clip)}
        return cls(store, references, shown, frame, quality, tracked, of_clip)

    def chances(self, evenness: float) -> F64:
        """Return by clip how likely it is drawn: its number of frames to the power ``evenness``."""
        chances = np.bincount(self.store.clip).astype(np.float64) ** evenness
        return np.asarray(chances / chances.sum())


def code(folder: Path, qualities: tuple[int, int], seed: int = 0) -> int:
    """Code the store in ``folder``; return how many references it has now."""
    store = FrameStore.open(folder)
    random = np.random.default_rng(seed)
    frames = np.concatenate(
        [_spread(np.flatnonzero(store.clip == c)) for c in np.unique(store.clip)]
    )
    quality = np.empty(len(frames), np.int32)
    out = np.lib.format.open_memmap(
        folder / "references.npy", mode="w+", dtype=np.uint8, shape=(len(frames), CANVAS, CANVAS, 3)
    )
    for count, rows in enumerate(_chains(store.clip[frames], random)):
        pictures = [np.ascontiguousarray(store.frames[index]) for index in frames[rows]]
        key = int(random.integers(qualities[0], qualities[1] + 1))
        for row, (picture, index) in zip(rows, coded(pictures, key), strict=True):
            out[row], quality[row] = picture, index
        _tell("chains", count, len(frames))
    out.flush()
    (folder / "restored.npy").unlink(missing_ok=True)
    np.savez(folder / "references.npz", frame=frames.astype(np.int32), quality=quality)
    np.save(folder / "tracked.npy", tracked(store))
    return len(frames)


def _chains(clip: I32, random: np.random.Generator) -> Iterator[I32]:
    """Yield rows, in random order, of which each clip's references are a chain."""
    for number in np.unique(clip):
        rows = random.permutation(np.flatnonzero(clip == number)).astype(np.int32)
        while len(rows):
            count = int(random.integers(1, CHAIN + 1))
            yield rows[:count]
            rows = rows[count:]


def coded(pictures: Sequence[U8], quality: int) -> list[tuple[U8, int]]:
    """Return ``pictures`` (256, 256, 3) as a receiver decodes them, and each one's quantiser.

    The first is a key picture at ``quality``, the others are predicted from it.
    """
    later = min(quality + INTER_QUALITY - KEY_QUALITY, 255)
    encoder, decoder = Av1PictureEncoder(CANVAS, quality, later), Av1PictureDecoder(CANVAS)
    out = []
    try:
        for number, picture in enumerate(pictures):
            made = encoder.encode(picture, key=number == 0)
            out.append((decoder.decode(made.data, key=made.key), made.quality))
    finally:
        encoder.close()
    return out


def restore(folder: Path) -> int:
    """Add what the shipped restorer makes of the references; return how many there are."""
    references = np.load(folder / "references.npy", mmap_mode="r", allow_pickle=False)
    restorer = Restorer()
    out = np.lib.format.open_memmap(
        folder / "restored.npy", mode="w+", dtype=np.uint8, shape=references.shape
    )
    for row, picture in enumerate(references):
        out[row] = restorer(picture)
        _tell("restored", row, len(references))
    out.flush()
    restorer.close()
    return len(references)


def tracked(store: FrameStore) -> F32:
    """Return what the shipped tracker's network sees in each frame: float32 (N, 478, 3)."""
    landmarker, details = Landmarker(), Details()
    out = np.empty_like(store.landmarks)
    for index, marks in enumerate(store.landmarks):
        # As when it follows a face: its own last look says where to look.
        frame = store.frames[index]
        seen = landmarker(frame, Place.around(marks))
        seen = landmarker(frame, Place.around(seen.landmarks))
        out[index] = details(frame, seen.landmarks, Place.around(seen.landmarks))
        _tell("frames tracked", index, len(store))
    landmarker.close()
    details.close()
    return out


def _spread(frames: npt.NDArray[np.intp]) -> I32:
    count = int(np.clip(len(frames) // EVERY, LEAST, MOST))
    chosen = np.unique(np.linspace(0, len(frames) - 1, count).astype(int))
    return np.asarray(frames[chosen], np.int32)


def _tell(what: str, index: int, total: int) -> None:
    if index % 50 == 0:
        print(f"\r{what}: {index}/{total}", end="", file=sys.stderr)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", type=Path)
    parser.add_argument("--quality", type=int, nargs=2, default=QUALITIES)
    parser.add_argument("--restore", action="store_true", help="only show them to the restorer")
    args = parser.parse_args()
    count = restore(args.store) if args.restore else code(args.store, tuple(args.quality))
    print(f"\n{count} references in {args.store}")


if __name__ == "__main__":
    main()
