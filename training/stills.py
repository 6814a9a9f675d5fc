# SPDX-License-Identifier: Apache-2.0
"""Pairs of pictures for the restorer: as they were, and as a reference brings them.

    python -m training.stills --split train --out runs/stores/stills-train

From every clip come a few short chains: a key picture and what is predicted from it, coded as the
encoder codes references, some finer and some coarser. ``OUT/original.npy`` and ``OUT/coded.npy``
hold uint8 (N, 256, 256, 3) RGB, ``OUT/stills.json`` whose they are and at which quantiser.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.reference.av1 import (
    INTER_QUALITY,
    KEY_QUALITY,
    Av1PictureDecoder,
    Av1PictureEncoder,
)
from talkcodec.types import CANVAS, U8
from training.corpus import DATA, Clip, canvas, clips, pictures

#: Chains from a clip, and pictures in each.
CHAINS, LENGTH = 4, 2
#: How far the quantiser of a chain may be from the encoder's own.
SPREAD = 30


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    todo = clips(args.data, args.split, permissive=True)
    args.out.mkdir(parents=True, exist_ok=True)
    shape = (len(todo) * CHAINS * LENGTH, CANVAS, CANVAS, 3)
    arrays = [
        np.lib.format.open_memmap(args.out / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        for name in ("original", "coded")
    ]
    about: list[dict[str, Any]] = []
    for number, clip in enumerate(todo, 1):
        for original, coded, quality in pairs(clip, np.random.default_rng(number)):
            arrays[0][len(about)], arrays[1][len(about)] = original, coded
            about.append(
                {
                    "clip": clip.name,
                    "identity": clip.identity,
                    "licence": clip.licence,
                    "quality": quality,
                }
            )
        print(f"\r{number}/{len(todo)} {clip.name}", end="", file=sys.stderr)
    print(file=sys.stderr)
    for array in arrays:
        array.flush()
    (args.out / "stills.json").write_text(json.dumps(about))


def pairs(clip: Clip, random: np.random.Generator) -> Iterator[tuple[U8, U8, int]]:
    """Yield ``CHAINS`` × ``LENGTH`` pictures of ``clip``, each as it was and as decoded, and the
    quantiser of its chain's key picture.
    """
    frames = pictures(clip)
    chosen = np.linspace(0, len(frames) - 1, CHAINS * LENGTH).astype(int)
    for chain in random.permutation(chosen).reshape(CHAINS, LENGTH):
        shift = int(random.integers(-SPREAD, SPREAD + 1))
        encoder = Av1PictureEncoder(CANVAS, KEY_QUALITY + shift, INTER_QUALITY + shift)
        decoder = Av1PictureDecoder(CANVAS)
        for index in np.sort(chain):
            original = canvas(frames[index])
            coded = encoder.encode(original)
            yield original, decoder.decode(coded.data, key=coded.key), KEY_QUALITY + shift
        encoder.close()


if __name__ == "__main__":
    main()
