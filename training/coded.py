# SPDX-License-Identifier: Apache-2.0
"""What a call would have of a frame store: reference pictures as decoded, landmarks as tracked.

    python -m training.coded runs/stores/train
    python -m training.coded runs/stores/val --quality 120 120

Adds to a store ``references.npy`` uint8 (R, 256, 256, 3), pictures coded by our own reference
codec at quantisers drawn from a range, ``references.npz`` with their ``frame`` int32 (R,) in the
store and their ``quality`` int32 (R,), and ``tracked.npy`` float32 (N, 478, 3), what the shipped
tracker sees in every frame.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from talkcodec.errors import InputError
from talkcodec.face.networks import Landmarker
from talkcodec.face.place import Place
from talkcodec.reference.av1 import Av1PictureDecoder, Av1PictureEncoder
from talkcodec.types import CANVAS, F32, I32, U8
from training.store import FrameStore

#: References of a clip: so many at least, one for so many frames, so many at most.
LEAST, EVERY, MOST = 6, 8, 48
#: Quantiser indices to draw from: the shipped one is 120, and a coarser one costs half the bytes.
QUALITIES = (90, 190)


@dataclass(frozen=True, slots=True)
class CodedStore:
    """A frame store with its ``references`` and ``tracked`` landmarks; see this module.

    ``of_clip``: by clip the rows of ``frame`` that are its references.
    """

    store: FrameStore
    references: U8
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
        clip = store.clip[frame]
        of_clip = {int(c): np.flatnonzero(clip == c).astype(np.int32) for c in np.unique(clip)}
        return cls(store, references, frame, quality, tracked, of_clip)


def code(folder: Path, qualities: tuple[int, int], seed: int = 0) -> int:
    """Code the store in ``folder``; return how many references it has now."""
    store = FrameStore.open(folder)
    random = np.random.default_rng(seed)
    frames = np.concatenate(
        [_spread(np.flatnonzero(store.clip == c)) for c in np.unique(store.clip)]
    )
    quality = random.integers(qualities[0], qualities[1] + 1, len(frames))
    out = np.lib.format.open_memmap(
        folder / "references.npy", mode="w+", dtype=np.uint8, shape=(len(frames), CANVAS, CANVAS, 3)
    )
    for row, (index, index_quality) in enumerate(zip(frames, quality, strict=True)):
        out[row] = coded(np.ascontiguousarray(store.frames[index]), int(index_quality))
        _tell("references", row, len(frames))
    out.flush()
    np.savez(
        folder / "references.npz", frame=frames.astype(np.int32), quality=quality.astype(np.int32)
    )
    np.save(folder / "tracked.npy", tracked(store))
    return len(frames)


def coded(picture: U8, quality: int) -> U8:
    """Return ``picture`` (256, 256, 3) as a receiver decodes it: a key picture at ``quality``."""
    encoder, decoder = Av1PictureEncoder(CANVAS, quality, quality), Av1PictureDecoder(CANVAS)
    try:
        return decoder.decode(encoder.encode(picture, key=True).data, key=True)
    finally:
        encoder.close()


def tracked(store: FrameStore) -> F32:
    """Return what the shipped tracker's network sees in each frame: float32 (N, 478, 3)."""
    landmarker = Landmarker()
    out = np.empty_like(store.landmarks)
    for index, marks in enumerate(store.landmarks):
        # As when it follows a face: its own last look says where to look.
        seen = landmarker(store.frames[index], Place.around(marks))
        out[index] = landmarker(store.frames[index], Place.around(seen.landmarks)).landmarks
        _tell("frames tracked", index, len(store))
    landmarker.close()
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
    args = parser.parse_args()
    count = code(args.store, tuple(args.quality))
    print(f"\n{count} references in {args.store}")


if __name__ == "__main__":
    main()
