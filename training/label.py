# SPDX-License-Identifier: Apache-2.0
"""Track every clip once and keep the landmarks: ``python -m training.label --out runs/labels``.

One npz a clip: ``landmarks`` float32 (T, 478, 3) in source pixels, ``found`` bool (T,), ``size``
(width, height). Clips that are already there are skipped, so the command resumes. ``--unsmoothed``
has MediaPipe follow the face without the smoothing that a call gets (training/relabel.py).
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from talkcodec.face import FaceTracker, open_tracker
from talkcodec.types import LANDMARKS
from training.corpus import DATA, Clip, Split, clips, pictures, unseen
from training.relabel import UnsmoothedTeacher

SPLITS: tuple[Split, ...] = ("val", "train")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/labels"))
    parser.add_argument("--tracker", default="mediapipe")
    parser.add_argument("--split", choices=("train", "val", "unseen"), help="only this one")
    parser.add_argument("--unsmoothed", action="store_true", help="MediaPipe, hardly smoothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    splits: tuple[Split, ...] = (args.split,) if args.split in SPLITS else SPLITS
    todo = [clip for split in splits for clip in clips(args.data, split)]
    if args.split == "unseen":
        todo = unseen(args.data)
    for number, clip in enumerate(todo, 1):
        target = args.out / f"{clip.name}.npz"
        if not target.exists():
            label(clip, target, None if args.unsmoothed else args.tracker)
        print(f"\r{number}/{len(todo)} {clip.name}", end="", file=sys.stderr)
    print(file=sys.stderr)


def label(clip: Clip, target: Path, tracker_name: str | None) -> None:
    """Track ``clip`` from its first frame and write ``target``.

    ``tracker_name``: of ``open_tracker``, or None for the teacher that hardly smooths.
    """
    frames = pictures(clip)
    landmarks = np.zeros((len(frames), LANDMARKS, 3), np.float32)
    found = np.zeros(len(frames), bool)
    chosen: FaceTracker
    chosen = UnsmoothedTeacher() if tracker_name is None else open_tracker(tracker_name)
    with closing(chosen) as tracker:
        for index, picture in enumerate(frames):
            seen = tracker.track(picture, float(index / clip.rate))
            if seen is not None:
                landmarks[index], found[index] = seen.landmarks, True
    height, width = frames[0].shape[:2]
    partial = target.with_suffix(".part.npz")
    np.savez_compressed(partial, landmarks=landmarks, found=found, size=(width, height))
    partial.replace(target)


if __name__ == "__main__":
    main()
