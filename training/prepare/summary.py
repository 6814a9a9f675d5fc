# SPDX-License-Identifier: Apache-2.0
"""``summary.html``: one page, complete in itself, to judge a prepared folder by eye.

It shows people's faces: it is no more to be passed on than the clips are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2

from talkcodec.errors import InputError
from talkcodec.types import U8
from training.prepare.charts import COLOURS, histogram
from training.prepare.files import write_text
from training.prepare.plan import SPLITS
from training.prepare.reading import pick_passages
from training.prepare.sheets import (
    LABELLED,
    PEOPLE,
    Row,
    end_sheet,
    ends,
    label_sheet,
    needed,
    one_of_each,
    people_sheet,
    refused_sheet,
)
from training.prepare.statistics import QUANTITIES

SUMMARY = "summary.html"

_QUALITY = 82
_REFUSALS = 300  # rows of the table; index.json has all
_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1400px; padding: 0 1em }
table { border-collapse: collapse; margin: .7em 0 }
td, th { padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
figure { display: inline-block; margin: .4em .8em .4em 0 }
figcaption { font-size: 12px }
img { max-width: 100% }
"""
_SUMS = {
    "clips": "clips",
    "passages": "passages",
    "people": "people",
    "frames": "frames",
    "minutes": "minutes",
    "minutes_512": "of them also at 512²",
    "megabytes": "MB",
}
_FILES = {
    "all": "everything",
    "mp4": "256² video",
    "512.mp4": "512² video",
    "npz": "labels",
    "json": "what is known of it",
}


def write_summary(
    out: Path, index: Mapping[str, Any], passages: Sequence[Row], paths: Mapping[str, Path]
) -> None:
    """Write the page of the prepared folder ``out``.

    ``index``: as written there. ``passages``: as the records hold them. ``paths``: the clips' files
    by name, for pictures of what was refused.
    """
    parts = [
        "<h1>Prepared clips</h1>",
        _table("", SPLITS, _sums(index["totals"])),
        "<h2>MB a minute</h2>",
        _table("", SPLITS, _rates(index["totals"])),
        "<h2>Minutes under each licence</h2>",
        _table("", SPLITS, _licences(index["totals"])),
        "<h2>Left out</h2>",
        _table("", ("number",), {k: [v] for k, v in _refused(index)}),
        "<h2>Share of the frames</h2>",
        _legend(),
        *(
            histogram(quantity, {split: index["histograms"][split][name] for split in SPLITS})
            for name, quantity in QUANTITIES.items()
        ),
        *_sheets(out, index, passages),
    ]
    refused = refused_sheet(index["refusals"], paths)
    if refused is not None:
        told = {row["key"]: (row["reason"], row["told"]) for row in index["refusals"][:_REFUSALS]}
        parts += [_table("refused", ("why", "found"), told)]
        parts += ["<h2>Refused: from the middle of some clips</h2>", _image(refused)]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Prepared clips</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    write_text(out / SUMMARY, page)


def _sheets(out: Path, index: Mapping[str, Any], passages: Sequence[Row]) -> Iterator[str]:
    for split in SPLITS:
        mine = [p for p in passages if p["about"]["split"] == split]
        if not mine:
            continue
        rows = [row for row in index["shards"] if row["split"] == split]
        shown = {p.key: p for p in pick_passages(out, rows, set(needed(mine)))}
        people = [shown[key] for key in one_of_each(mine, PEOPLE)]
        yield f"<h2>{split}: people</h2>{_image(people_sheet(people))}"
        yield f"<h2>{split}: landmarks and person mask</h2>{_image(label_sheet(people[:LABELLED]))}"
        yield f"<h2>{split}: extremes</h2>{_image(end_sheet(ends(mine), shown))}"


def _image(sheet: U8) -> str:
    bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
    written, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not written:
        raise InputError(f"expected to encode a sheet of {sheet.shape}, found that OpenCV cannot")
    coded = base64.b64encode(data.tobytes()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{coded}">'


def _legend() -> str:
    return (
        "<p>"
        + ", ".join(
            f'<span style="color:{colour}">&#9632;</span> {split}'
            for split, colour in zip(SPLITS, COLOURS, strict=True)
        )
        + "</p>"
    )


def _table(corner: str, heads: Sequence[str], rows: Mapping[str, Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(str(head))}</th>" for head in (corner, *heads))
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in (name, *cells)) + "</tr>"
        for name, cells in rows.items()
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _sums(totals: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {said: [totals[split][name] for split in SPLITS] for name, said in _SUMS.items()}


def _rates(totals: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        said: [totals[split]["megabytes_per_minute"].get(name, "–") for split in SPLITS]
        for name, said in _FILES.items()
        if name in totals["all"]["megabytes_per_minute"]
    }


def _licences(totals: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [totals[split]["minutes_of_licence"].get(name, 0) for split in SPLITS]
        for name in totals["all"]["minutes_of_licence"]
    }


def _refused(index: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for reason, count in index["left_out"].items():
        yield f"clips not asked for: {reason}", count
    for reason, count in index["rejected"].items():
        yield f"refused: {reason}", count
    if index["failed"]:
        yield "clips that could not be prepared", len(index["failed"])
