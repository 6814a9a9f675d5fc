# SPDX-License-Identifier: Apache-2.0
"""Scores of a coded clip against its source.

::

    suite = open_metrics(("lpips", "dists", "psnr"))
    scorer = suite.against(Clip(source_frames, fps), every=10)
    scores = scorer.score(Clip(output_frames, fps))     # {"lpips": array of one value a frame, …}

``suite.absent`` names the metrics that could not be opened and why. No network is used.
"""

from talkcodec.metrics.base import Clip, Column, Metric, Scorer, Scores
from talkcodec.metrics.registry import METRICS_VERSION, NAMES, Suite, open_metrics

__all__ = [
    "METRICS_VERSION",
    "NAMES",
    "Clip",
    "Column",
    "Metric",
    "Scorer",
    "Scores",
    "Suite",
    "open_metrics",
]
