# SPDX-License-Identifier: Apache-2.0
"""What a comparison found, as plain data: per clip, and summed up over clips.

Everything here turns into ``report.json`` by :func:`as_json`; the other formats are made from
that JSON alone, so an old report can be drawn again::

    python -m talkcodec.bench.report report.json       # the summary as a Markdown table
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.bench.matched import MatchedRate, geometric_mean

#: Version of report.json's structure.
FORMAT = 2

#: Columns for which an equal-score rate is looked up.
MATCHED_COLUMNS = ("lpips", "dists")


@dataclass(frozen=True)
class Point:
    """One codec at one operating point on one clip; rates in kbit/s, scores are clip means."""

    point: int
    payload_kbps: float
    wire_kbps: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class OurRun:
    """Our codec at its default point on one clip, and where the bytes went."""

    default: Point
    payload_kbps_without_first_reference: float
    references: int
    bytes: Mapping[str, int]
    held_frames: int


@dataclass(frozen=True)
class OursOnClip(OurRun):
    """Our codec on one clip as a file (see ``ours``), at every point measured, and as a call."""

    points: Sequence[Point]
    call: OurRun


@dataclass(frozen=True)
class Match:
    """The rates at which a classical codec reaches our score in one column, and ÷ our rates."""

    payload: MatchedRate
    wire: MatchedRate
    payload_ratio: MatchedRate
    wire_ratio: MatchedRate


@dataclass(frozen=True)
class ClassicalOnClip:
    """A classical codec on one clip. ``matched``: to our file, ``matched_call``: to our call.

    ``at_our_rate``: coded again at about the payload of our file.
    """

    ladder: Sequence[Point]
    matched: Mapping[str, Match]
    matched_call: Mapping[str, Match]
    bd_rate_percent: Mapping[str, float | None]
    at_our_rate: Point


@dataclass(frozen=True)
class ClipReport:
    """One clip."""

    name: str
    digest: str
    fps: float
    frames: int
    seconds: float
    ours: OursOnClip
    codecs: Mapping[str, ClassicalOnClip]


@dataclass(frozen=True)
class FailedClip:
    """A clip that could not be compared. ``name``: of its file. ``reason``: in one line."""

    name: str
    reason: str


@dataclass(frozen=True)
class Report:
    """A whole comparison. Means and tables are of ``clips``, of which there is one at least."""

    options: Mapping[str, Any]
    clips: Sequence[ClipReport]
    failed: Sequence[FailedClip] = ()
    absent_metrics: Mapping[str, str] = field(default_factory=dict)
    metric_milliseconds: Mapping[str, float] = field(default_factory=dict)


def match_to_ours(payload: MatchedRate, wire: MatchedRate, ours: Point) -> Match:
    """Put a codec's equal-score rates beside ours."""
    return Match(
        payload,
        wire,
        MatchedRate(payload.kbps / ours.payload_kbps, payload.relation),
        MatchedRate(wire.kbps / ours.wire_kbps, wire.relation),
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return the content of report.json: the report, with a ``summary`` over its clips."""
    whole: dict[str, Any] = {"format": FORMAT, "summary": summary(report), **asdict(report)}
    cleaned: dict[str, Any] = _without_nan(whole)
    return cleaned


def summary(report: Report) -> dict[str, Any]:
    """Average a report: arithmetic means of ours, geometric means of matched rates and ratios."""
    clips = report.clips
    ours = [clip.ours for clip in clips]
    names = list(clips[0].codecs)
    return {
        "clips": len(clips),
        "seconds": sum(clip.seconds for clip in clips),
        "ours": {**_our_summary(ours), "call": _our_summary([o.call for o in ours])},
        "codecs": {name: _codec_summary([c.codecs[name] for c in clips]) for name in names},
    }


def _our_summary(runs: Sequence[OurRun]) -> dict[str, Any]:
    return {
        "payload_kbps": _mean([run.default.payload_kbps for run in runs]),
        "payload_kbps_without_first_reference": _mean(
            [run.payload_kbps_without_first_reference for run in runs]
        ),
        "wire_kbps": _mean([run.default.wire_kbps for run in runs]),
        "references": _mean([run.references for run in runs]),
        "scores": _mean_scores([run.default for run in runs]),
    }


def _codec_summary(runs: Sequence[ClassicalOnClip]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for column in runs[0].matched:
        bd_rates = [run.bd_rate_percent.get(column) for run in runs]
        known = [value for value in bd_rates if value is not None]
        result[column] = {
            **_match_summary([run.matched[column] for run in runs]),
            "call": _match_summary([run.matched_call[column] for run in runs]),
            "bd_rate_percent": _mean(known) if known else None,
            "bd_rate_clips": len(known),
        }
    result["at_our_rate"] = {
        "payload_kbps": _mean([run.at_our_rate.payload_kbps for run in runs]),
        "scores": _mean_scores([run.at_our_rate for run in runs]),
    }
    return result


def _match_summary(matches: Sequence[Match]) -> dict[str, Any]:
    return {
        key: _mean_dict([getattr(match, key) for match in matches])
        for key in ("payload", "wire", "payload_ratio", "wire_ratio")
    }


def _mean_dict(terms: Sequence[MatchedRate]) -> dict[str, Any]:
    mean = geometric_mean(terms)
    return {**asdict(mean), "relation": mean.relation}


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def _mean_scores(points: Sequence[Point]) -> dict[str, float]:
    return {
        name: _mean([p.scores.get(name, math.nan) for p in points]) for name in points[0].scores
    }


def _without_nan(value: Any) -> Any:
    """Replace NaN by null: JSON has no other word for a score that could not be had."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def headline(report: Mapping[str, Any]) -> str:
    """Say in one or two sentences what the comparison found."""
    total = report["summary"]
    ours = total["ours"]
    text = (
        f"On {total['clips']} clip{'s' * (total['clips'] != 1)} ({total['seconds']:.0f} s) "
        f"talkcodec needs {ours['payload_kbps']:.1f} kbit/s of payload "
        f"({ours['wire_kbps']:.1f} on the wire, both directions), as a call with redundancy "
        f"{ours['call']['payload_kbps']:.1f} ({ours['call']['wire_kbps']:.1f})."
    )
    parts = [
        f"{name} {_bound(codec['lpips']['payload_ratio'])} times that for the same LPIPS and "
        f"{_bound(codec['dists']['payload_ratio'])} times for the same DISTS"
        for name, codec in total["codecs"].items()
        if all(column in codec for column in MATCHED_COLUMNS)
    ]
    return f"{text} {'; '.join(parts)}." if parts else text


def markdown(report: Mapping[str, Any]) -> str:
    """Return the summary as a Markdown table with its headline above."""
    total = report["summary"]
    ours = total["ours"]
    head = "".join(f" | same {c.upper()} | ÷ ours | wire ÷ ours" for c in MATCHED_COLUMNS)
    own = f" | {ours['payload_kbps']:.1f} kbit/s | 1 | 1" * len(MATCHED_COLUMNS)
    lines = [headline(report), "", f"| codec{head} |", "|---" * 7 + "|", f"| talkcodec{own} |"]
    for name, codec in total["codecs"].items():
        cells = []
        for column in MATCHED_COLUMNS:
            found = codec.get(column)
            if found is None:
                cells += ["–", "–", "–"]
                continue
            cells += [f"{_bound(found['payload'])} kbit/s", _bound(found["payload_ratio"])]
            cells.append(_bound(found["wire_ratio"]))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_own_table(total)]) + "\n"


def _own_table(total: Mapping[str, Any]) -> list[str]:
    """Return our own rates and scores, as a file and as a call, with the ratios to each."""
    file = _own_cells(total["ours"], total["codecs"])
    calls = {
        name: {column: codec[column]["call"] for column in MATCHED_COLUMNS if column in codec}
        for name, codec in total["codecs"].items()
    }
    call = _own_cells(total["ours"]["call"], calls)
    lines = [f"| {name} | {cell} | {call.get(name, '–')} |" for name, cell in file.items()]
    return ["| talkcodec, mean over clips | file | call |", "|---|---|---|", *lines]


def _own_cells(ours: Mapping[str, Any], codecs: Mapping[str, Any]) -> dict[str, str]:
    later = ours["payload_kbps_without_first_reference"]
    cells = {
        "payload": f"{ours['payload_kbps']:.1f} kbit/s",
        "payload without the first reference": f"{later:.1f} kbit/s",
        "wire, both directions": f"{ours['wire_kbps']:.1f} kbit/s",
        "references a clip": f"{ours['references']:.1f}",
    }
    for name, codec in codecs.items():
        for column in MATCHED_COLUMNS:
            if column in codec:
                ratios = [_bound(codec[column][key]) for key in ("payload_ratio", "wire_ratio")]
                cells[f"{name} ÷ ours, same {column.upper()}: payload, wire"] = ", ".join(ratios)
    scores = ours["scores"].items()
    # A score that no clip could be given is NaN here and null in the file.
    known = {name: value for name, value in scores if value is not None and math.isfinite(value)}
    return {**cells, **{name: f"{value:.3g}" for name, value in known.items()}}


def _bound(mean: Mapping[str, Any]) -> str:
    sign = "" if mean["relation"] == "=" else f"{mean['relation']} "
    return f"{sign}{mean['value']:.1f}"


def main() -> None:
    """Print the Markdown summary of the report.json named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("expected one report.json, found none or several")
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if report.get("format") != FORMAT:
        sys.exit(f"expected a report of format {FORMAT}, found {report.get('format')}")
    sys.stdout.write(markdown(report))


if __name__ == "__main__":
    main()
