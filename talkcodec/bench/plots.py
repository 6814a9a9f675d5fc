# SPDX-License-Identifier: Apache-2.0
"""Rate-distortion plots of a report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcodec.types import F64

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = ("lpips", "dists")
_TICKS = (5, 10, 20, 40, 80, 160)
_RATES = {"payload_kbps": "payload", "wire_kbps": "wire"}


def rd_png(report: Mapping[str, Any]) -> bytes:
    """Draw LPIPS and DISTS over payload and wire rate as one PNG.

    A classical codec's curve joins, point by point of its ladder, the geometric mean of rates
    and the mean of scores over clips. Ours: every clip a dot, the means a star; a black curve
    through the points of a sweep.
    """
    buffer = io.BytesIO()
    rd_figure(report).savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def rd_figure(report: Mapping[str, Any]) -> Figure:
    """Return what ``rd_png`` writes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    for row, column in zip(axes, _COLUMNS, strict=True):
        for axis, rate in zip(row, _RATES, strict=True):
            _panel(axis, report["clips"], column, rate)
    axes[0][0].legend(fontsize=8)
    return figure


def _panel(axis: Any, clips: Sequence[Mapping[str, Any]], column: str, rate: str) -> None:
    for name in clips[0]["codecs"]:
        ladders = [clip["codecs"][name]["ladder"] for clip in clips]
        rates, scores = _curve(ladders, column, rate)
        style = "--" if name.endswith("-offline") else "-"
        axis.plot(rates, scores, style, marker="o", markersize=3, label=name)
    ours = [[clip["ours"]["default"]] for clip in clips]
    dots = [(points[0][rate], points[0]["scores"][column]) for points in ours]
    axis.plot(*zip(*dots, strict=True), "k.", markersize=3, alpha=0.5)
    swept = [sorted(clip["ours"]["points"], key=_point) for clip in clips]
    if len(swept[0]) > 1:
        axis.plot(*_curve(swept, column, rate), "k-", marker="D", markersize=4)
    axis.plot(*_curve(ours, column, rate), "k*", markersize=13, label="talkcodec")
    axis.set_xscale("log")
    axis.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
    axis.minorticks_off()
    axis.set_xlabel(f"{_RATES[rate]} kbit/s")
    axis.set_ylabel(f"{column.upper()} (lower is better)")
    axis.grid(visible=True, which="both", alpha=0.25)


def _point(point: Mapping[str, Any]) -> int:
    return int(point["point"])


def _curve(
    ladders: Sequence[Sequence[Mapping[str, Any]]], column: str, rate: str
) -> tuple[F64, F64]:
    rates = np.array([[point[rate] for point in ladder] for ladder in ladders])
    scores = np.array([[point["scores"][column] for point in ladder] for ladder in ladders])
    return np.exp(np.log(rates).mean(0)), scores.mean(0)
