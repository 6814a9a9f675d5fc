# SPDX-License-Identifier: Apache-2.0
"""Measures trackers on the val clips and writes one JSON file."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.face import FaceFinder, FaceTracker, FollowingTracker, open_tracker
from talkcodec.face.builtin import BuiltinFinder
from talkcodec.render.engine import installed
from training.evaluate import detection, landmarks, speed, still
from training.evaluate.material import all_of, one_a_person, unseen_of

Say = Callable[[str], None]

OURS, TEACHER = "builtin", "mediapipe"


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """``data``: folder with manifest and clips; ``labels``: what training.label wrote of them, and
    ``unsmoothed``: what it wrote with ``--unsmoothed``, or None.

    ``empty``: pictures without faces, or None; ``crops``: random parts taken of each. ``frames``:
    of one clip a person, for the conditions. ``every``: frames between two cold looks.
    """

    data: Path
    labels: Path
    unsmoothed: Path | None = None
    empty: Path | None = None
    crops: int = 14
    frames: int = 75
    every: int = 5


def evaluate(options: EvaluateOptions, say: Say) -> dict[str, Any]:
    """Return everything that is measured."""
    say("val clips, tracked as in a call")
    with closing(open_tracker(OURS)) as tracker:
        out: dict[str, Any] = {
            "split": landmarks.whole_split(tracker, all_of(options.data, options.labels))
        }
        if options.unsmoothed is not None:
            say("the same, against the teacher that does not smooth")
            clips = all_of(options.data, options.unsmoothed)
            out["split_unsmoothed"] = landmarks.whole_split(tracker, clips)
        say("clips whose licence kept them out of training")
        further = landmarks.whole_split(tracker, unseen_of(options.data, options.labels))
        out["unseen"] = further
    say("still passages")
    out["still"] = _still(options)
    people = one_a_person(options.data, options.labels, options.frames)
    say("conditions")
    with closing(open_tracker(OURS)) as ours, closing(open_tracker(TEACHER)) as teacher:
        trackers = {OURS: ours, TEACHER: teacher}
        out["conditions"] = landmarks.robustness(trackers, people)
    for name in (OURS, TEACHER):
        say(f"detection, {name}")
        out.setdefault("detection", {})[name] = _detection(name, options)
    say("speed")
    out["speed"] = speed.milliseconds(_speeds(), people[0])
    return out


def _still(options: EvaluateOptions) -> dict[str, Any]:
    """Return the jitter of ours, smoothed and not, and of the teacher, on the same windows."""
    windows = still.still_windows(all_of(options.data, options.labels))
    found: dict[str, list[float]] = {OURS: [], f"{OURS}, unsmoothed": [], TEACHER: []}
    lost = 0
    with (
        closing(FollowingTracker(BuiltinFinder())) as smooth,
        closing(FollowingTracker(BuiltinFinder(smooth=False))) as plain,
    ):
        for item in all_of(options.data, options.labels, windows):
            size = float(min(item.frames[0].shape[:2]))
            tracks = [landmarks.follow(t, item.frames, float(item.rate)) for t in (smooth, plain)]
            for window in windows[item.name]:
                if not all(seen[window].all() for _, seen in tracks):
                    lost += 1
                    continue
                marks = [*(points for points, _ in tracks), item.teacher]
                for values, points in zip(found.values(), marks, strict=True):
                    values.append(still.jitter(points[window], size))
    means = {name: float(np.mean(values)) for name, values in found.items() if values}
    count = sum(map(len, windows.values()))
    return {"windows": count, "lost": lost, "clips": len(windows), "px_at_256": means}


def _detection(name: str, options: EvaluateOptions) -> dict[str, Any]:
    finder = _finder(name)
    try:
        clips = all_of(options.data, options.labels)
        out: dict[str, Any] = {"cold": detection.cold(finder, clips, options.every)}
        if options.empty is not None:
            out["empty"] = detection.without_faces(finder, options.empty, options.crops)
    finally:
        finder.close()
    return out


def _finder(name: str) -> FaceFinder:
    if name == OURS:
        return BuiltinFinder()
    from talkcodec.face.mediapipe import MediaPipeFinder

    return MediaPipeFinder()


def _speeds() -> dict[str, Callable[[], FaceTracker]]:
    engines = [name for name in ("openvino", "onnxruntime") if name in installed()]
    ours: dict[str, Callable[[], FaceTracker]] = {
        f"{OURS}, {name}": (lambda name=name: FollowingTracker(BuiltinFinder(name)))  # type: ignore[misc]
        for name in engines
    }
    return {**ours, TEACHER: lambda: open_tracker(TEACHER)}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON that is easy to compare."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
