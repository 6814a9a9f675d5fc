# SPDX-License-Identifier: Apache-2.0
"""What report.html and rd.png show of a report, without measuring anything."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcodec.bench.compare import chosen_stills
from talkcodec.bench.html import write_html
from talkcodec.bench.matched import MatchedRate
from talkcodec.bench.plots import rd_figure, rd_png
from talkcodec.bench.report import (
    ClassicalOnClip,
    ClipReport,
    Match,
    OurRun,
    OursOnClip,
    Point,
    Report,
    as_json,
)
from talkcodec.bench.source import clip_names
from talkcodec.bench.stills import Still

RATE = MatchedRate(40.0, "=")
MATCH = {column: Match(RATE, RATE, RATE, RATE) for column in ("lpips", "dists")}


def point(number: int, kbps: float, score: float) -> Point:
    return Point(number, kbps, kbps + 20, {"lpips": score, "dists": score / 2})


def clip(name: str, factor: float, bd_rates: dict[str, float | None]) -> ClipReport:
    """Return a clip of a sweep, whose rates are multiplied by ``factor``."""
    default = point(100, 8 * factor, 0.1)
    # As a comparison leaves them: the default last.
    points = [point(25, 4 * factor, 0.2), point(400, 16 * factor, 0.05), default]
    account: dict[str, Any] = {
        "payload_kbps_without_first_reference": 4.0,
        "references": 2,
        "bytes": {"header": 10, "reference": 100, "motion": 100},
        "held_frames": 0,
    }
    ours = OursOnClip(default, **account, points=points, call=OurRun(default, **account))
    ladder = [point(50, 20.0, 0.2), point(30, 80.0, 0.05)]
    codec = ClassicalOnClip(ladder, MATCH, MATCH, bd_rates, ladder[0])
    return ClipReport(name, "0" * 64, 25.0, 100, 4.0, ours, {"x264": codec})


CLIPS = [
    clip("one", 1.0, {"lpips": -80.0, "dists": -90.0}),
    clip("two", 4.0, {"lpips": -60.0, "dists": None}),
]


def content(clips: list[ClipReport]) -> dict[str, Any]:
    return as_json(Report({"size": 256, "every": 10}, clips))


def cells(page: str) -> list[list[str]]:
    """Return the first table of ``page``."""
    table = page[page.index("<table>") : page.index("</table>")]
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in rows]


def test_the_page_has_bd_rates_of_both_scores(tmp_path: Path) -> None:
    write_html(tmp_path / "report.html", content(CLIPS), b"", [])
    head, ours, x264 = cells((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert head[-2:] == ["BD-rate LPIPS", "BD-rate DISTS"]
    assert len(head) == len(ours) == len(x264) == 9
    assert x264[-2:] == ["-70 %", "-90 % (1 of 2 clips)"]


def test_without_a_sweep_there_is_none(tmp_path: Path) -> None:
    bare = [clip("one", 1.0, {"lpips": None, "dists": None})]
    write_html(tmp_path / "report.html", content(bare), b"", [])
    *_, x264 = cells((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert x264[-2:] == ["–", "–"]


def black(report: dict[str, Any]) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Return the black lines of more than one point of each panel: dots of clips, and a sweep."""
    return [
        [
            (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
            for line in axis.lines
            if line.get_color() == "k" and line.get_linestyle() == "-"
        ]
        for axis in rd_figure(report).axes
    ]


def test_the_plot_draws_our_sweep_in_the_order_of_its_points() -> None:
    pytest.importorskip("matplotlib")
    panels = black(content(CLIPS))
    assert [len(lines) for lines in panels] == [1] * 4
    ((rates, scores),) = panels[0]
    np.testing.assert_allclose(rates, [8, 16, 32])  # geometric means of r and 4 r
    np.testing.assert_allclose(scores, [0.2, 0.1, 0.05])
    ((wire, dists),) = panels[3]
    np.testing.assert_allclose(wire, np.sqrt([24 * 36, 28 * 52, 36 * 84]))
    np.testing.assert_allclose(dists, [0.1, 0.05, 0.025])
    assert rd_png(content(CLIPS)).startswith(b"\x89PNG")


def test_clips_of_one_name_keep_their_own_pictures() -> None:
    twins = [replace(c, name="face") for c in CLIPS]
    twins[1] = replace(twins[1], ours=replace(twins[1].ours, default=point(100, 8.0, 0.3)))
    stills = [Still(np.full((2, 2, 3), value, np.uint8)) for value in (1, 2)]
    found = list(chosen_stills(twins, stills))
    assert [(label.split()[0], int(still.picture[0, 0, 0])) for label, still in found] == [
        ("worst", 2),
        ("median", 1),
    ]


def test_names_tell_clips_apart() -> None:
    a, b = Path("a/face.mp4"), Path("b/face.mp4")
    assert clip_names([a, Path("a/other.mp4")]) == ["face", "other"]
    assert clip_names([a, Path("a/face.webm")]) == ["face.mp4", "face.webm"]
    assert clip_names([a, b]) == ["a/face.mp4", "b/face.mp4"]
    assert clip_names([a, Path("c/a/face.mp4")]) == ["a/face.mp4", "c/a/face.mp4"]
    assert clip_names([a, b, a]) == ["a/face.mp4", "b/face.mp4", "a/face.mp4 (2)"]


def test_one_point_is_no_curve() -> None:
    pytest.importorskip("matplotlib")
    single = [replace(c, ours=replace(c.ours, points=[c.ours.default])) for c in CLIPS]
    assert black(content(single)) == [[]] * 4
