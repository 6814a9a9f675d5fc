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
from training.evaluate.material import Material, all_of, one_a_person

Say = Callable[[str], None]

OURS, TEACHER = "builtin", "mediapipe"


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """``data``: folder with manifest and clips; ``labels``: what training.label wrote of them.

    ``empty``: pictures without faces, or None; ``crops``: random parts taken of each.
    ``frames``: of one clip a person, for the conditions. ``every``: frames between two cold looks.
    """

    data: Path
    labels: Path
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
    say("still passages")
    out["still"] = _still(options)
    people = one_a_person(options.data, options.labels, options.frames)
    for name in (OURS, TEACHER):
        say(f"conditions, {name}")
        with closing(open_tracker(name)) as tracker:
            out.setdefault("conditions", {})[name] = landmarks.robustness(tracker, people)
        say(f"detection, {name}")
        out.setdefault("detection", {})[name] = _detection(name, options)
    say("speed")
    out["speed"] = speed.milliseconds(_speeds(), people[0])
    return out


def _still(options: EvaluateOptions) -> dict[str, Any]:
    """Return the jitter of ours, smoothed and not, and of the teacher, on the same windows."""
    clips = list(all_of(options.data, options.labels))
    windows = still.still_windows(clips)
    chosen = {number for number, _ in windows}
    found: dict[str, float] = {}
    for name, smooth in ((OURS, True), (f"{OURS}, unsmoothed", False)):
        with closing(FollowingTracker(BuiltinFinder(smooth=smooth))) as tracker:
            tracks = {
                n: landmarks.follow(tracker, clips[n].frames, float(clips[n].rate)) for n in chosen
            }
        values = [
            still.jitter(tracks[n][0][window], _side(clips[n]))
            for n, window in windows
            if tracks[n][1][window].all()
        ]
        found[name] = float(np.mean(values))
    found[TEACHER] = float(
        np.mean([still.jitter(clips[n].teacher[w], _side(clips[n])) for n, w in windows])
    )
    return {"windows": len(windows), "clips": len(chosen), "px_at_256": found}


def _side(item: Material) -> float:
    return float(min(item.frames[0].shape[:2]))


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
