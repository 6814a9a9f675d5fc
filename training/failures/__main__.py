# SPDX-License-Identifier: Apache-2.0
"""Measure how soon failures are noticed, and how often without a cause.

Clips of the val split are for figures, those of the train split for choosing thresholds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2

from talkcodec.face import open_tracker
from talkcodec.face.tracker import FaceTracker
from talkcodec.types import U8
from training.corpus import DATA, Clip, clips, pictures
from training.failures.compose import KINDS, Staged, Take, stage, take
from training.failures.measure import run
from training.failures.report import CleanResult, SceneResult, summary, table
from training.failures.sheet import Sheet

#: Frames of a clip that material for scenes is made from, and the short side they are shrunk to:
#: what the codec sees is no larger.
FRAMES, SHORT = 120, 288


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m training.failures", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--people", type=int, default=1000, help="whose clips are staged, at most")
    parser.add_argument("--clean", type=int, default=1000, help="clips left as they are, at most")
    parser.add_argument("--out", type=Path, default=Path("runs/failures.json"))
    parser.add_argument("--sheet", type=Path, help="PNG of what is shown around switches")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    found = clips(args.data, args.split)
    tracker = open_tracker()
    sheet = Sheet() if args.sheet else None
    scenes = staged(found, args.people, tracker, sheet)
    clean = [untouched(clip, tracker) for clip in evenly(found, args.clean)]
    content = summary(args.split, scenes, clean)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content, indent=1) + "\n")
    if sheet is not None:
        sheet.write(args.sheet)
    print(table(content))


def staged(
    found: list[Clip], people: int, tracker: FaceTracker, sheet: Sheet | None
) -> list[SceneResult]:
    """Stage every kind over one clip of each person, with another person beside."""
    first = list({clip.identity: clip for clip in reversed(found)}.values())[::-1]
    takes = [t for t in (material(clip, tracker) for clip in evenly(first, people)) if t]
    out = []
    for index, one in enumerate(takes):
        other = takes[(index + len(takes) // 2) % len(takes)]
        for kind in KINDS:
            scene = stage(kind, one, other, index)
            wanted = sheet.frames(scene) if sheet is not None and sheet.wants(kind) else ()
            result = run(scene.source(), scene.rate, tracker, wanted=wanted)
            if sheet is not None and wanted:
                sheet.add(scene, result)
            out.append(SceneResult.of(scene, result))
        sys.stderr.write(f"staged {index + 1} of {len(takes)}\n")
    return out


def untouched(clip: Clip, tracker: FaceTracker) -> CleanResult:
    """Run a clip as it is."""
    frames = Staged(clip.name, "clean", pictures(clip), clip.rate, 0, 0, None)
    result = run(frames.source(), clip.rate, tracker)
    if result.video_frames:
        sys.stderr.write(f"{clip.name}: {result.video_frames} frames of video\n")
    return CleanResult.of(clip.name, result)


def material(clip: Clip, tracker: FaceTracker) -> Take | None:
    """Return a clip's beginning as material for scenes."""
    shrunk = [shrink(picture) for picture in pictures(clip)[:FRAMES]]
    return take(clip.name, shrunk, clip.rate, tracker)


def shrink(picture: U8) -> U8:
    """Return ``picture`` with a short side of at most ``SHORT`` pixels."""
    height, width = picture.shape[:2]
    scale = SHORT / min(height, width)
    if scale >= 1:
        return picture
    size = (round(width * scale), round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(picture.dtype)


def evenly(found: list[Clip], most: int) -> list[Clip]:
    """Return at most ``most`` of ``found``, spread over it."""
    step = max(len(found) / max(most, 1), 1.0)
    return [found[int(i * step)] for i in range(min(most, len(found)))]


if __name__ == "__main__":
    main()
