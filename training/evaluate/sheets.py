# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of clips as a receiver shows them: ``python -m training.evaluate.sheets``.

::

    python -m training.evaluate.sheets runs/sheets --clips ../shared/data/clips/val/*.mp4

Each clip is encoded, decoded and drawn as it ships. Six of its frames are shown, the source above
ours: five spread evenly over it, and the one that differs most.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from talkcodec.bench.source import Source, load_source
from talkcodec.types import U8
from training.evaluate.renderers import draw, encode

#: Side of a frame on a sheet, pixels; clips on a sheet; frames spread evenly over a clip.
SIDE, CLIPS, SPREAD = 160, 4, 5


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="folder to write the sheets to")
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=6, help="from each clip")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, len(args.clips), CLIPS)):
        some = args.clips[first : first + CLIPS]
        rows = [panel(load_source(path, 256, args.seconds)) for path in some]
        sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(args.out / f"{number:02d}.png"), sheet)
        print(f"{number:02d}.png:", *(path.stem for path in some), file=sys.stderr)


def panel(source: Source) -> U8:
    """Return a clip's row of a sheet, uint8 (2 SIDE, 6 SIDE, 3)."""
    frames = source.clip.frames
    shown = draw(encode(source, "auto"), len(frames), "auto").frames
    off = [np.abs(a.astype(np.float32) - b).mean() for a, b in zip(frames, shown, strict=True)]
    ticks = [len(frames) * (2 * i + 1) // (2 * SPREAD) for i in range(SPREAD)]
    ticks.append(int(np.argmax(off)))
    rows = np.vstack([_row([pictures[t] for t in ticks]) for pictures in (frames, shown)])
    cv2.putText(rows, source.name, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1)
    return rows


def _row(pictures: Sequence[U8]) -> U8:
    size = (SIDE, SIDE)
    small = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures]
    return np.asarray(np.hstack(small), np.uint8)


if __name__ == "__main__":
    main()
