# SPDX-License-Identifier: Apache-2.0
"""Opens metrics by name, and says why one cannot be opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from talkcodec.clock import Stopwatch
from talkcodec.errors import InputError, MissingDependency, WeightsError
from talkcodec.metrics.base import Clip, Metric, Scorer, Scores, check_pair

#: Changes whenever a metric's value may change; part of every cache key.
METRICS_VERSION = 1

#: Whether DISTS works in bfloat16. It does nowhere, so that scores hold from one processor to
#: another; reports say so as "bf16", and older ones, of processors that have it, are not reused.
BFLOAT16 = False


def _psnr() -> Metric:
    from talkcodec.metrics.picture import Psnr

    return Psnr()


def _ssim() -> Metric:
    from talkcodec.metrics.picture import Ssim

    return Ssim()


def _lpips() -> Metric:
    _one_thread()
    from talkcodec.metrics.lpips import Lpips

    return Lpips()


def _dists() -> Metric:
    _one_thread()
    from talkcodec.metrics.dists import Dists

    return Dists(fast=BFLOAT16)


def _vmaf() -> Metric:
    from talkcodec.metrics.vmaf import Vmaf

    return Vmaf()


def _face() -> Metric:
    from talkcodec.metrics.face import Face

    return Face()


def _regions() -> Metric:
    _one_thread()
    from talkcodec.metrics.regions import Regions

    return Regions()


def _identity() -> Metric:
    _one_thread()
    from talkcodec.metrics.identity import Identity

    return Identity()


_FACTORIES: dict[str, Callable[[], Metric]] = {
    "lpips": _lpips,
    "dists": _dists,
    "psnr": _psnr,
    "ssim": _ssim,
    "vmaf": _vmaf,
    "face": _face,
    "identity": _identity,
    "regions": _regions,
}

NAMES = tuple(_FACTORIES)


def _one_thread() -> None:
    # Two torch threads collapse when another process is busy, and timings mean nothing then.
    try:
        import torch
    except ImportError as error:
        raise MissingDependency("expected the package torch, found none installed") from error
    torch.set_num_threads(1)


@dataclass
class Suite:
    """Opened metrics, and for the others the reason why they are absent."""

    metrics: list[Metric]
    absent: dict[str, str] = field(default_factory=dict)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    _frames: Counter[str] = field(default_factory=Counter)

    def against(self, source: Clip, every: int = 1) -> SuiteScorer:
        """Open every metric for ``source``, looking at one frame in ``every`` where it may."""
        return SuiteScorer(self, source, every)

    def timed(self, metric: Metric, scorer: Scorer, output: Clip) -> Scores:
        """Score ``output`` and note how long that took."""
        with self.stopwatch.stage(metric.name):
            scores = scorer.score(output)
        self._frames[metric.name] += len(output.frames)
        return scores

    def milliseconds(self) -> dict[str, float]:
        """Return the mean time per scored frame so far, source features not counted."""
        spent = self.stopwatch.durations
        return {name: 1000 * sum(spent[name]) / count for name, count in self._frames.items()}


class SuiteScorer:
    """A suite opened against one source clip."""

    def __init__(self, suite: Suite, source: Clip, every: int) -> None:
        if every < 1:
            raise ValueError(f"expected every ≥ 1, found {every}")
        self._suite = suite
        self._source = source
        self._every = every
        sampled = source.every(every)
        self._scorers: list[tuple[Metric, Scorer]] = [
            (metric, metric.against(source if metric.whole else sampled))
            for metric in suite.metrics
        ]

    def score(self, output: Clip, only: Collection[str] | None = None) -> Scores:
        """Return per-frame values of all columns of the metrics named ``only`` (None: all)."""
        check_pair(self._source, output)
        sampled = output.every(self._every)
        scores: Scores = {}
        for metric, scorer in self._scorers:
            if only is not None and metric.name not in only:
                continue
            scores.update(self._suite.timed(metric, scorer, output if metric.whole else sampled))
        return scores


def open_metrics(names: Iterable[str]) -> Suite:
    """Open the named metrics; those whose package or weights are missing are listed as absent."""
    suite = Suite([])
    for name in names:
        factory = _FACTORIES.get(name)
        if factory is None:
            raise InputError(f"expected a metric out of {', '.join(NAMES)}, found {name!r}")
        try:
            suite.metrics.append(factory())
        except (MissingDependency, WeightsError) as error:
            suite.absent[name] = str(error)
    return suite
