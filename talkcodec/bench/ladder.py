# SPDX-License-Identifier: Apache-2.0
"""Rate-distortion ladders of codecs on clips, each point computed once and cached.

A point's file is named by the pictures' digest and by everything that decides its content, so
re-running a comparison after a change to *our* codec costs nothing for the classical ones::

    python -m talkcodec.bench.ladder CLIP... --codecs x264,av1 --every 10
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.bench.codecs import ClassicalCodec, Mode, classical
from talkcodec.bench.earlier import earlier_points
from talkcodec.bench.matched import MatchedRate, matched_rate
from talkcodec.bench.source import Source, load_source
from talkcodec.errors import InputError
from talkcodec.metrics import METRICS_VERSION, Clip, Suite, open_metrics
from talkcodec.metrics.registry import BFLOAT16
from talkcodec.metrics.weights import cache_dir

#: Scored at every ladder point; the dearer metrics only at the point that is shown.
LADDER_METRICS = ("lpips", "dists", "psnr", "ssim")


@dataclass(frozen=True)
class LadderPoint:
    """One codec at one operating point on one clip. Rates in kbit/s, first key frame included."""

    codec: str
    point: int
    payload_kbps: float
    wire_kbps: float
    #: Column → mean over the scored frames.
    scores: Mapping[str, float]


class Ladders:
    """Computes ladder points and remembers them under ``folder``.

    ``every``: one frame in so many is scored; rates always count all frames.
    """

    def __init__(self, every: int = 10, folder: Path | None = None) -> None:
        self.every = every
        self.folder = (folder or cache_dir()) / "ladders"

    @cached_property
    def suite(self) -> Suite:
        """Open the metrics on first need: with a warm cache neither torch nor weights load."""
        return open_metrics(LADDER_METRICS)

    def points(self, source: Source, codec: ClassicalCodec) -> list[LadderPoint]:
        """Return the whole ladder of ``codec`` on ``source``, lowest rate first."""
        scorer = _LazyScorer(self, source)
        ladder = [self._point(source, codec, point, scorer) for point in codec.points]
        return sorted(ladder, key=lambda item: item.payload_kbps)

    def cached(self, source: Source, codec: ClassicalCodec) -> list[LadderPoint]:
        """Return those points that are already known, lowest rate first."""
        known = [self._read(self._path(source.digest, codec, point)) for point in codec.points]
        return sorted((p for p in known if p is not None), key=lambda item: item.payload_kbps)

    def _point(
        self, source: Source, codec: ClassicalCodec, point: int, scorer: _LazyScorer
    ) -> LadderPoint:
        path = self._path(source.digest, codec, point)
        known = self._read(path)
        if known is not None:
            return known
        clip = source.clip
        run = codec.encode_decode(clip.frames, clip.fps, point)
        rate = codec.rate(run.packets, clip.seconds)
        scores = scorer(Clip(run.frames, clip.fps))
        result = LadderPoint(codec.name, point, rate.payload, rate.wire, scores)
        self._write(path, result)
        return result

    def adopt(self, report: Mapping[str, Any], codecs: Sequence[ClassicalCodec]) -> int:
        """Take over the ladders of an earlier ``report.json``, if they were made as ours would be.

        Returns how many points were new. Clips are recognised by the digest of their pictures.

        Raises:
            InputError: the report's ladders hold what is no digest, point, rate or score.
        """
        options = report["options"]
        count = 0
        for codec in codecs:
            same = options["settings"].get(codec.name) == codec.settings(codec.points[0])
            if not same or any(options.get(name) != value for name, value in self.made().items()):
                continue
            # All of a ladder is checked before any of it is kept.
            for found in list(earlier_points(report, codec, LADDER_METRICS)):
                path = self._path(found.digest, codec, found.point)
                if not path.is_file():
                    rates = found.payload_kbps, found.wire_kbps
                    self._write(path, LadderPoint(codec.name, found.point, *rates, found.scores))
                    count += 1
        return count

    def made(self) -> dict[str, Any]:
        """Return how points are measured here: what must be the same for a point to hold."""
        return {
            "every": self.every,
            "metrics_version": METRICS_VERSION,
            "bf16": BFLOAT16,
        }

    @staticmethod
    def _write(path: Path, point: LadderPoint) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_text(json.dumps(asdict(point), indent=1), encoding="utf-8")
        partial.replace(path)

    def _path(self, pictures: str, codec: ClassicalCodec, point: int) -> Path:
        key = (
            f"{codec.settings(point)} every={self.every} metrics={METRICS_VERSION} "
            f"{LADDER_METRICS} bf16={BFLOAT16}"
        )
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        return self.folder / pictures[:16] / f"{codec.name}-{point}-{digest}.json"

    @staticmethod
    def _read(path: Path) -> LadderPoint | None:
        try:
            return LadderPoint(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


class _LazyScorer:
    """Opens the source's features when the first uncached point needs them, and keeps them."""

    def __init__(self, ladders: Ladders, source: Source) -> None:
        self._ladders = ladders
        self._source = source

    @cached_property
    def _scorer(self) -> Callable[[Clip], Mapping[str, np.ndarray]]:
        suite = self._ladders.suite
        if suite.absent:
            raise InputError("; ".join(suite.absent.values()))
        return suite.against(self._source.clip, self._ladders.every).score

    def __call__(self, output: Clip) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in self._scorer(output).items()}


def point_at_rate(ladder: Sequence[LadderPoint], kbps: float) -> int:
    """Return the operating point whose payload rate should be ``kbps``, or the ladder's end.

    The quality number is interpolated over the logarithm of the rate, which lands within a few
    percent of it.
    """
    rates = [math.log(p.payload_kbps) for p in ladder]
    return round(float(np.interp(math.log(kbps), rates, [p.point for p in ladder])))


def matched(
    ladder: Sequence[LadderPoint], column: str, target: float, *, lower_is_better: bool = True
) -> tuple[MatchedRate, MatchedRate]:
    """Return payload and wire rate at which ``ladder`` reaches ``target`` in ``column``."""
    payload = [(p.payload_kbps, p.scores[column]) for p in ladder]
    wire = [(p.wire_kbps, p.scores[column]) for p in ladder]
    return (
        matched_rate(payload, target, lower_is_better=lower_is_better),
        matched_rate(wire, target, lower_is_better=lower_is_better),
    )


def matched_clip(
    path: Path, scores: Mapping[str, float], codec: str, every: int = 10
) -> dict[str, tuple[MatchedRate, MatchedRate]]:
    """Return (payload, wire) rates at which ``codec`` (call settings) reaches each of ``scores``.

    ``scores``: our mean "lpips" and "dists" on the clip's 256² canvas with the same ``every``.
    Missing ladder points are computed, which takes about a minute a clip.
    """
    ladder = Ladders(every).points(load_source(path), classical(codec))
    return {column: matched(ladder, column, value) for column, value in scores.items()}


def main() -> None:
    """Fill the cache for the clips and codecs named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.bench.ladder")
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--codecs", default="x264,av1")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--every", type=int, default=10)
    options = parser.parse_args()
    modes: tuple[Mode, ...] = ("call", "offline") if options.offline else ("call",)
    codecs = [classical(name, mode) for mode in modes for name in options.codecs.split(",")]
    ladders = Ladders(options.every)
    for path in options.clips:
        source = load_source(path)
        for codec in codecs:
            start = time.perf_counter()
            ladder = ladders.points(source, codec)
            spent = time.perf_counter() - start
            curve = " ".join(f"{p.payload_kbps:.1f}:{p.scores['lpips']:.3f}" for p in ladder)
            sys.stderr.write(f"{source.name} {codec.name} {spent:.0f} s, kbit/s:LPIPS {curve}\n")


if __name__ == "__main__":
    main()
