# SPDX-License-Identifier: Apache-2.0
"""What the study found, as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.failures.compose import KINDS, Staged
from training.failures.measure import Run

#: Milliseconds within which the mode should change.
AIM = 300


@dataclass(frozen=True, slots=True)
class SceneResult:
    """One scene. Times in ms: ``late`` from the event to the change of mode, negative where it
    came while the thing was still coming; ``back`` from its end to motion again. None: never.
    ``before``: frames of video before anything happened.
    """

    clip: str
    kind: str
    late: float | None
    back: float | None
    reason: str
    before: int
    flaps: int

    @classmethod
    def of(cls, scene: Staged, run: Run) -> SceneResult:
        ms = 1000 / float(scene.rate)
        switch = run.first("video", scene.start)
        if switch is not None and scene.end is not None and switch >= scene.end:
            switch = None
        reason = "none" if switch is None else run.steps[switch].reason
        back = None
        if scene.end is not None:
            again = run.first("motion", scene.end)
            back = None if again is None else (again - scene.end) * ms
        return cls(
            scene.name,
            scene.kind,
            None if switch is None else (switch - scene.event) * ms,
            back,
            reason,
            sum(step.mode == "video" for step in run.steps[: scene.start]),
            max(run.switches - 1, 0),
        )


@dataclass(frozen=True, slots=True)
class CleanResult:
    """A clip in which nothing was staged. ``reasons``: frames of video by reason."""

    clip: str
    seconds: float
    video_seconds: float
    struggling_seconds: float
    switches: int
    references: int
    reference_bytes: int
    reasons: dict[str, int]

    @classmethod
    def of(cls, name: str, run: Run) -> CleanResult:
        rate = float(run.rate)
        return cls(
            name,
            len(run.steps) / rate,
            run.video_frames / rate,
            sum(step.struggling for step in run.steps) / rate,
            run.switches,
            run.references,
            run.reference_bytes,
            dict(Counter(s.reason for s in run.steps if s.mode == "video")),
        )


def summary(split: str, scenes: list[SceneResult], clean: list[CleanResult]) -> dict[str, Any]:
    """Return everything as one JSON object."""
    kinds = {kind: _of_kind([s for s in scenes if s.kind == kind]) for kind in KINDS}
    seconds = sum(c.seconds for c in clean)
    return {
        "split": split,
        "kinds": {kind: row for kind, row in kinds.items() if row["scenes"]},
        "clean": {
            "clips": len(clean),
            "seconds": round(seconds, 1),
            "video_share": sum(c.video_seconds for c in clean) / max(seconds, 1e-9),
            "struggling_share": sum(c.struggling_seconds for c in clean) / max(seconds, 1e-9),
            "switches": sum(c.switches for c in clean),
            "clips_with_video": [asdict(c) for c in clean if c.switches],
        },
        "scenes": [asdict(s) for s in scenes],
    }


def _of_kind(scenes: list[SceneResult]) -> dict[str, Any]:
    late = [max(s.late, 0.0) for s in scenes if s.late is not None]
    back = [s.back for s in scenes if s.back is not None]
    return {
        "scenes": len(scenes),
        "missed": sum(s.late is None for s in scenes),
        "within_aim": sum(v <= AIM for v in late),
        "late_ms": _quantiles(late),
        "back_ms": _quantiles(back),
        "reasons": dict(Counter(s.reason for s in scenes)),
        "video_before": sum(s.before > 0 for s in scenes),
        "further_switches": sum(s.flaps for s in scenes),
    }


def _quantiles(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None, "max": None}
    found = np.percentile(values, (50, 95, 100)).round()
    return dict(zip(("p50", "p95", "max"), (float(v) for v in found), strict=True))


def table(content: dict[str, Any]) -> str:
    """Return the summary for people."""
    aims = f"within {AIM} ms | late ms: median, 95 %, most | back ms: median, 95 %"
    head = f"| {content['split']} | scenes | missed | {aims} | reasons |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for kind, row in content["kinds"].items():
        late, back = row["late_ms"], row["back_ms"]
        reasons = ", ".join(f"{name} {count}" for name, count in row["reasons"].items())
        rows.append(
            f"| {kind} | {row['scenes']} | {row['missed']} | {row['within_aim']} |"
            f" {_ms(late['p50'])}, {_ms(late['p95'])}, {_ms(late['max'])} |"
            f" {_ms(back['p50'])}, {_ms(back['p95'])} | {reasons} |"
        )
    clean = content["clean"]
    rows.append(
        f"\n{clean['clips']} clean clips, {clean['seconds']:.0f} s: {clean['switches']} switches,"
        f" video {100 * clean['video_share']:.2f} % and doubt"
        f" {100 * clean['struggling_share']:.2f} % of the time"
    )
    return "\n".join(rows)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
