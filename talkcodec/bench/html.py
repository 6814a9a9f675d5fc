# SPDX-License-Identifier: Apache-2.0
"""A report as one HTML file that needs nothing else: no script, no style sheet, no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from talkcodec.bench.report import MATCHED_COLUMNS, headline
from talkcodec.bench.stills import Still

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
.headline { font-size: 1.15em; }
table { border-collapse: collapse; margin: .8em 0; font-variant-numeric: tabular-nums; }
td, th { padding: .25em .7em; border-bottom: 1px solid #ddd; text-align: right; }
td:first-child, th:first-child { text-align: left; }
.wide { overflow-x: auto; }
tr.ours { font-weight: 600; background: #f3f7ff; }
img { max-width: 100%; } figure { margin: 1em 0; }
figcaption, .note { color: #555; font-size: .9em; }
"""

_NOTES = """
Payload is what the codec makes and a call carries; wire adds IP, UDP and transport headers, and
for talkcodec the acknowledgements and reports that come back. Talkcodec is compared as a file: no
redundancy, references usable at once. "In a call" packets carry a copy of the group before, and
a reference is used when its acknowledgement is back, 0.3 s later. Same-score rates are read off
each classical codec's ladder, log-linear between points; ≤ or ≥ marks a rate outside the ladder,
where the ladder's end is used, so that the true figure lies further that way. Means of rates and
ratios are geometric. BD-rate: the rate of talkcodec against the codec's at equal score, where both
reach it, the mean over clips; it needs --sweep.
LPIPS and DISTS: 0 is identical. Lips, eyes and iris: error in % of the distance between the
eyes, found by tracking the output again; pose in degrees; face lost: % of frames in which the
tracker finds none; identity: distance between embeddings, 0 is the same. L1 in 8-bit steps.
"""

_CAPTION = (
    "Lower left is better. Lines: classical codecs; black: our rates, where they were swept. "
    "Dots: our clips at the default; star: mean."
)

#: What the columns of scores are called.
_LABELS = {
    "lpips": "LPIPS",
    "dists": "DISTS",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "vmaf": "VMAF",
    "face_lost": "face lost",
    "lpips_face": "LPIPS, face",
    "lpips_rest": "LPIPS, rest",
    "l1_face": "L1, face",
    "l1_rest": "L1, rest",
}


def write_html(
    path: Path, report: Mapping[str, Any], rd: bytes, stills: Sequence[tuple[str, Still]]
) -> None:
    """Write ``report`` (the content of report.json) with its plot and stills as one file."""
    body = "\n".join(_sections(report, rd, stills))
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>talkcodec comparison</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _sections(
    report: Mapping[str, Any], rd: bytes, stills: Sequence[tuple[str, Still]]
) -> Iterator[str]:
    yield "<h1>talkcodec against classical codecs</h1>"
    yield f'<p class="headline">{escape(headline(report))}</p>'
    for failed in report.get("failed", []):  # earlier reports know of none
        told = f"Not compared: {failed['name']} ({failed['reason']})"
        yield f'<p class="note">{escape(told)}</p>'
    yield "<h2>Rate for the same quality</h2>"
    yield _table(*_matched_rows(report["summary"]))
    yield "<h2>As a file and in a call</h2>"
    yield _table(*_call_rows(report["summary"]))
    yield "<h2>Quality at about our rate</h2>"
    yield _table(*_score_rows(report["summary"]))
    yield f'<p class="note">{escape(_NOTES)}</p>'
    for name, reason in report["absent_metrics"].items():
        yield f'<p class="note">Not measured: {escape(name)} ({escape(reason)})</p>'
    yield "<h2>Rate and quality</h2>"
    yield _figure(rd, _CAPTION)
    yield "<h2>How it looks</h2>"
    for label, still in stills:
        yield _figure(still.png(), label)
    yield "<h2>Clip by clip</h2>"
    yield _table(*_clip_rows(report["clips"]))
    options = report["options"]
    yield (
        f'<p class="note">Canvas {options["size"]}², one frame in {options["every"]} scored, rates '
        "over all frames.</p>"
    )


def _matched_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    head = ["codec"]
    for column in MATCHED_COLUMNS:
        head += [f"same {column.upper()}", "÷ ours", "wire ÷ ours"]
    head += [f"BD-rate {column.upper()}" for column in MATCHED_COLUMNS]
    ours = [f"{summary['ours']['payload_kbps']:.1f} kbit/s", "1", "1"]
    rows = [["talkcodec", *ours * len(MATCHED_COLUMNS), *[""] * len(MATCHED_COLUMNS)]]
    for name, codec in summary["codecs"].items():
        cells = [name]
        for column in MATCHED_COLUMNS:
            found = codec[column]
            cells.append(f"{_bound(found['payload'])} kbit/s")
            cells += [_bound(found["payload_ratio"]), _bound(found["wire_ratio"])]
        cells += [_bd_rate(codec[column], summary["clips"]) for column in MATCHED_COLUMNS]
        rows.append(cells)
    return head, rows


def _bd_rate(found: Mapping[str, Any], clips: int) -> str:
    """Return a mean BD-rate, and of how many clips it is where some have none."""
    value, count = found["bd_rate_percent"], found["bd_rate_clips"]
    if value is None:
        return "–"
    return f"{value:+.0f} %" if count == clips else f"{value:+.0f} % ({count} of {clips} clips)"


def _call_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    codecs = summary["codecs"]
    head = ["", "payload kbit/s", "wire kbit/s", "references"]
    head += [f"{name} ÷ ours, {column}" for name in codecs for column in ("LPIPS", "DISTS")]
    rows = []
    ours = summary["ours"]
    for label, run in (("talkcodec", ours), ("talkcodec in a call", ours["call"])):
        cells = [label, f"{run['payload_kbps']:.1f}", f"{run['wire_kbps']:.1f}"]
        cells.append(f"{run['references']:.1f}")
        for codec in codecs.values():
            found = [codec[column] for column in ("lpips", "dists")]
            found = found if run is ours else [match["call"] for match in found]
            cells += [_bound(match["payload_ratio"]) for match in found]
        rows.append(cells)
    return head, rows


def _score_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    ours = summary["ours"]
    names = list(ours["scores"])
    rows = [
        [label, f"{run['payload_kbps']:.1f}", *_numbers(run["scores"], names)]
        for label, run in (("talkcodec", ours), ("talkcodec in a call", ours["call"]))
    ]
    for name, codec in summary["codecs"].items():
        found = codec["at_our_rate"]
        rows.append([name, f"{found['payload_kbps']:.1f}", *_numbers(found["scores"], names)])
    return ["codec", "kbit/s", *(_LABELS.get(name, name) for name in names)], rows


def _clip_rows(clips: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    codecs = list(clips[0]["codecs"])
    head = ["clip", "s", "payload", "wire", "references", "LPIPS", "DISTS"]
    head += [f"{name} ÷ ours, {column}" for name in codecs for column in ("LPIPS", "DISTS")]
    rows = []
    for clip in clips:
        ours = clip["ours"]
        default = ours["default"]
        cells = [clip["name"], f"{clip['seconds']:.1f}"]
        cells += [f"{default['payload_kbps']:.1f}", f"{default['wire_kbps']:.1f}"]
        cells += [str(ours["references"]), *_numbers(default["scores"], ["lpips", "dists"])]
        for name in codecs:
            found = clip["codecs"][name]["matched"]
            cells += [_ratio(found[column]["payload_ratio"]) for column in ("lpips", "dists")]
        rows.append(cells)
    return head, rows


def _numbers(scores: Mapping[str, float | None], names: Sequence[str]) -> list[str]:
    values = [scores.get(name) for name in names]
    return ["–" if value is None else f"{value:.3g}" for value in values]


def _bound(mean: Mapping[str, Any]) -> str:
    return _signed(mean["relation"], mean["value"])


def _ratio(rate: Mapping[str, Any]) -> str:
    return _signed(rate["relation"], rate["kbps"])


def _signed(relation: str, value: float) -> str:
    return f"{value:.1f}" if relation == "=" else f"{relation} {value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = [f'<div class="wide"><table><tr>{top}</tr>']
    for row in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        mark = ' class="ours"' if row[0].startswith("talkcodec") else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    return "\n".join([*lines, "</table></div>"])


def _figure(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
