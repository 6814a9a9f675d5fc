# SPDX-License-Identifier: Apache-2.0
"""Scores of an output against its source, remembered by what both of them look like.

The key is the pictures themselves, so a score is found again exactly when a codec's output did
not change, whatever else did; repeating a comparison then costs only encoding and decoding.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from talkcodec.bench.source import Source
from talkcodec.metrics import METRICS_VERSION, Clip, Scores, Suite
from talkcodec.metrics.registry import BFLOAT16, SuiteScorer
from talkcodec.metrics.weights import cache_dir
from talkcodec.types import F64, U8


class ScoreCache:
    """Scores outputs of ``source`` with ``suite``, one frame in ``every``.

    ``folder``: of the cache; by default the user's.
    """

    def __init__(
        self, suite: Suite, source: Source, every: int, folder: Path | None = None
    ) -> None:
        self._suite = suite
        self._source = source
        self._every = every
        self._folder = (folder or cache_dir()) / "scores" / source.digest[:16]

    def score(self, frames: list[U8], only: Collection[str] | None = None) -> Scores:
        """Return per-frame values of all columns of the metrics named ``only`` (None: all)."""
        names = [m.name for m in self._suite.metrics if only is None or m.name in only]
        path = self._folder / f"{self._key(frames, names)}.json"
        known = _read(path)
        if known is None:
            known = self._scorer.score(Clip(frames, self._source.clip.fps), names)
            _write(path, known)
        return known

    @cached_property
    def _scorer(self) -> SuiteScorer:
        """Work out the source's features on first need: a warm cache needs none."""
        return self._suite.against(self._source.clip, self._every)

    def _key(self, frames: list[U8], names: list[str]) -> str:
        measure = f"{names} every={self._every} metrics={METRICS_VERSION} bf16={BFLOAT16}"
        state = hashlib.sha256(f"{self._source.digest} {len(frames)} {measure}".encode())
        for frame in frames:
            state.update(frame.tobytes())
        return state.hexdigest()[:24]


def mean_scores(scores: Mapping[str, F64]) -> dict[str, float]:
    """Average per-frame scores, ignoring frames that could not be scored (NaN if none could)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mean of nothing but NaN
        return {name: float(np.nanmean(values)) for name, values in scores.items()}


def _read(path: Path) -> Scores | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: np.array(values, np.float64) for name, values in content.items()}
    except (OSError, ValueError, AttributeError):
        return None


def _write(path: Path, scores: Scores) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    content = {name: values.tolist() for name, values in scores.items()}
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
