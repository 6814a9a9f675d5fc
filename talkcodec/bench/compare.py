# SPDX-License-Identifier: Apache-2.0
"""Runs our codec and the classical ones over clips and writes the report files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.bench.codecs import OFFLINE_NAMES, ClassicalCodec, CodecRun, classical
from talkcodec.bench.extra import require_metrics_extra
from talkcodec.bench.html import write_html
from talkcodec.bench.ladder import LADDER_METRICS, LadderPoint, Ladders, matched, point_at_rate
from talkcodec.bench.matched import bd_rate
from talkcodec.bench.ours import DEFAULT_POINT, OurCodec
from talkcodec.bench.plots import rd_png
from talkcodec.bench.rates import channel_rate
from talkcodec.bench.report import (
    MATCHED_COLUMNS,
    ClassicalOnClip,
    ClipReport,
    FailedClip,
    Match,
    OurRun,
    OursOnClip,
    Point,
    Report,
    as_json,
    match_to_ours,
)
from talkcodec.bench.scores import ScoreCache, mean_scores
from talkcodec.bench.source import Source, clip_names, load_source
from talkcodec.bench.stills import SideBySide, Still
from talkcodec.errors import BitstreamError, InputError
from talkcodec.face import DEFAULT_TRACKER
from talkcodec.metrics import NAMES, Suite, open_metrics
from talkcodec.names import DEFAULT_RENDERER, RendererName
from talkcodec.types import F64

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CompareOptions:
    """What to compare and how closely.

    ``codecs``: classical names. ``offline``: also their best offline settings. ``every``: score
    one frame in so many. ``seconds``: use at most this much of each clip. ``sweep``: run our codec
    at all its points, which BD-rate needs. ``metrics``: names; LPIPS, DISTS, PSNR and SSIM
    are always tried. ``tracker``, ``renderer``: what our codec uses.
    ``reuse``: an earlier report.json, whose ladders hold for the same clips and settings.
    """

    codecs: tuple[str, ...] = ("x264", "x265", "vp9", "av1")
    offline: bool = False
    every: int = 10
    seconds: float | None = None
    size: int = 256
    sweep: bool = False
    metrics: tuple[str, ...] = NAMES
    tracker: str = DEFAULT_TRACKER
    renderer: RendererName = DEFAULT_RENDERER
    reuse: Path | None = None
    cache: Path | None = field(default=None, compare=False)

    def classical(self) -> list[ClassicalCodec]:
        """Return the classical codecs asked for, call settings first."""
        codecs = [classical(name) for name in self.codecs]
        if self.offline:
            known = [name for name in self.codecs if name in OFFLINE_NAMES]
            codecs += [classical(name, "offline") for name in known]
        return codecs


class Comparison:
    """One run over several clips.

    Raises:
        MissingDependency: a package that no comparison can do without is not installed.
        InputError: a score that all are compared by cannot be had.
    """

    def __init__(self, options: CompareOptions, progress: Progress) -> None:
        require_metrics_extra()
        self.options = options
        self._progress = progress
        self._ours = OurCodec(tracker=options.tracker, renderer=options.renderer)
        self._call = OurCodec.call(options.tracker, options.renderer)
        self._codecs = options.classical()
        self._ladders = Ladders(options.every, options.cache)
        if options.reuse is not None:
            self._adopt(options.reuse)
        names = dict.fromkeys((*LADDER_METRICS, *options.metrics))
        self._suite: Suite = open_metrics(names)
        missing = [name for name in LADDER_METRICS if name in self._suite.absent]
        if missing:
            reason = self._suite.absent[missing[0]]
            raise InputError(f"{missing[0]} is needed to compare: {reason}")

    def _adopt(self, path: Path) -> None:
        try:
            count = self._ladders.adopt(json.loads(path.read_text(encoding="utf-8")), self._codecs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"expected a report.json in {path}, found {error!r}") from None
        self._progress(f"{count} ladder points taken from {path.name}, those known already aside")

    def run(self, paths: Sequence[Path], out: Path) -> Report:
        """Compare on ``paths`` and write report.json, report.html, rd.png, side_by_side.mp4.

        A clip that cannot be compared is told in the report, and the others go on.

        Raises:
            InputError: no clip could be compared.
        """
        out.mkdir(parents=True, exist_ok=True)
        clips: list[ClipReport] = []
        failed: list[FailedClip] = []
        stills: list[Still] = []
        with SideBySide(out / "side_by_side.mp4") as video:
            for number, (path, name) in enumerate(zip(paths, clip_names(paths), strict=True), 1):
                self._progress(f"[{number}/{len(paths)}] {path.name}")
                try:
                    source = load_source(path, self.options.size, self.options.seconds)
                    source = replace(source, name=name)
                    clip, still = self._clip(source, video)
                except (InputError, BitstreamError) as error:  # the others took long
                    failed.append(FailedClip(path.name, str(error)))
                    self._progress(f"  failed: {error}")
                    continue
                clips.append(clip)
                stills.append(still)
        if not clips:
            reasons = "; ".join(f"{one.name}: {one.reason}" for one in failed)
            raise InputError(f"expected a clip that can be compared, found none: {reasons}")
        report = Report(
            options={
                "codecs": [codec.name for codec in self._codecs],
                **self._ladders.made(),
                "seconds": self.options.seconds,
                "size": self.options.size,
                "tracker": self.options.tracker,
                "renderer": self.options.renderer,
                "settings": {c.name: c.settings(c.points[0]) for c in self._codecs},
            },
            clips=clips,
            failed=failed,
            absent_metrics=self._suite.absent,
            metric_milliseconds=self._suite.milliseconds(),
        )
        content = as_json(report)
        (out / "report.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        picture = rd_png(content)
        (out / "rd.png").write_bytes(picture)
        write_html(out / "report.html", content, picture, list(chosen_stills(clips, stills)))
        return report

    def _clip(self, source: Source, video: SideBySide) -> tuple[ClipReport, Still]:
        scores = ScoreCache(self._suite, source, self.options.every, self.options.cache)
        ours, default_run, per_frame = self._run_ours(source, scores)
        codecs: dict[str, ClassicalOnClip] = {}
        shown: CodecRun | None = None
        label = ""
        for codec in self._codecs:
            ladder = self._ladders.points(source, codec)
            point = point_at_rate(ladder, ours.default.payload_kbps)
            run = codec.encode_decode(source.clip.frames, source.clip.fps, point)
            rate = codec.rate(run.packets, source.clip.seconds)
            found = mean_scores(scores.score(run.frames))
            at_our_rate = Point(point, rate.payload, rate.wire, found)
            codecs[codec.name] = _classical_on_clip(ladder, at_our_rate, ours)
            if shown is None or codec.name == "av1":
                shown, label = run, f"{codec.name} {rate.payload:.1f} kbit/s"
        ours_label = f"talkcodec {ours.default.payload_kbps:.1f} kbit/s"
        panels = [("source", source.clip.frames), (ours_label, default_run.frames)]
        if shown is not None:
            panels.append((label, shown.frames))
        video.append(panels, source.clip.fps)
        still = Still.at(panels, _typical(per_frame) * self.options.every)
        report = ClipReport(
            source.name,
            source.digest,
            float(source.clip.fps),
            len(source.clip.frames),
            source.clip.seconds,
            ours,
            codecs,
        )
        self._progress(f"  {ours_label}, {_brief(ours.default.scores)}")
        return report, still

    def _run_ours(self, source: Source, scores: ScoreCache) -> tuple[OursOnClip, CodecRun, F64]:
        """Return what we reach, the run of the default point and its LPIPS by frame."""
        frames, fps, seconds = source.clip.frames, source.clip.fps, source.clip.seconds
        wanted = self._ours.points if self.options.sweep else (DEFAULT_POINT,)
        points: list[Point] = []
        for point in sorted(wanted, key=lambda p: p == DEFAULT_POINT):
            run = self._ours.encode_decode(frames, fps, point)
            found = scores.score(run.frames)
            points.append(_our_point(point, run, found, seconds))
        called = self._call.encode_decode(frames, fps, DEFAULT_POINT)
        call_point = _our_point(
            DEFAULT_POINT, called, scores.score(called.frames, LADDER_METRICS), seconds
        )
        call = OurRun(call_point, **_accounts(called, seconds))
        ours = OursOnClip(points[-1], **_accounts(run, seconds), points=points, call=call)
        return ours, run, found.get("lpips", np.zeros(1))


def _our_point(point: int, run: CodecRun, scores: Mapping[str, F64], seconds: float) -> Point:
    rate = channel_rate(run.packets, seconds, run.kinds)
    return Point(point, rate.payload, rate.wire, mean_scores(scores))


def _accounts(run: CodecRun, seconds: float) -> dict[str, Any]:
    """Return where the bytes of a run of ours went: the fields of ``OurRun`` but its point."""
    pairs = list(zip(run.kinds, run.packets, strict=True))
    sizes = {
        kind: sum(size for k, size in pairs if k == kind)
        for kind in ("header", "reference", "motion")
    }
    references = [size for kind, size in pairs if kind == "reference"]
    later = (sum(run.packets) - references[0]) * 8 / 1000 / seconds
    return {
        "payload_kbps_without_first_reference": later,
        "references": len(references),
        "bytes": sizes,
        "held_frames": run.held,
    }


def _classical_on_clip(
    ladder: Sequence[LadderPoint], at_our_rate: Point, ours: OursOnClip
) -> ClassicalOnClip:
    matches: dict[str, Match] = {}
    call_matches: dict[str, Match] = {}
    bd_rates: dict[str, float | None] = {}
    for column in MATCHED_COLUMNS:
        for found, point in ((matches, ours.default), (call_matches, ours.call.default)):
            payload, wire = matched(ladder, column, point.scores[column])
            found[column] = match_to_ours(payload, wire, point)
        bd_rates[column] = bd_rate(
            [(p.payload_kbps, p.scores[column]) for p in ladder],
            [(p.payload_kbps, p.scores[column]) for p in ours.points],
        )
    points = [Point(p.point, p.payload_kbps, p.wire_kbps, p.scores) for p in ladder]
    return ClassicalOnClip(points, matches, call_matches, bd_rates, at_our_rate)


def _typical(per_frame: F64) -> int:
    """Index of the scored frame whose value is the median."""
    return int(np.argsort(per_frame)[len(per_frame) // 2])


def chosen_stills(
    clips: Sequence[ClipReport], stills: Sequence[Still]
) -> Iterator[tuple[str, Still]]:
    """Yield the worst, the median and the best clip by our LPIPS, each clip once."""
    order = sorted(range(len(clips)), key=lambda i: -clips[i].ours.default.scores["lpips"])
    seen: set[int] = set()
    for label, place in (("worst", 0), ("median", len(order) // 2), ("best", -1)):
        index = order[place]
        if index not in seen:
            seen.add(index)
            lpips = clips[index].ours.default.scores["lpips"]
            yield f"{label} clip by our LPIPS ({lpips:.3f}): {clips[index].name}", stills[index]


def _brief(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in scores.items())
