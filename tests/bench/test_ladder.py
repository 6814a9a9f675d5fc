# SPDX-License-Identifier: Apache-2.0
"""Ladders that were computed once are not computed again, and never taken for others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from talkcodec.bench.codecs import classical
from talkcodec.bench.compare import CompareOptions, Comparison
from talkcodec.bench.ladder import Ladders, matched
from talkcodec.errors import InputError
from talkcodec.metrics import METRICS_VERSION

DIGEST = "0123456789abcdef" * 4


def report(**changes: Any) -> dict[str, Any]:
    """Return an earlier report of one clip with a ladder of two points."""
    codec = classical("x264")
    ladder = [
        {
            "point": point,
            "payload_kbps": rate,
            "wire_kbps": rate + 10,
            "scores": {"lpips": lpips, "dists": lpips, "psnr": 30.0, "ssim": 0.9},
        }
        for point, rate, lpips in ((51, 10.0, 0.2), (39, 40.0, 0.1))
    ]
    options = Ladders(10).made() | {"settings": {"x264": codec.settings(codec.points[0])}}
    return {
        "options": options | changes,
        "clips": [{"digest": DIGEST, "codecs": {"x264": {"ladder": ladder}}}],
    }


def test_points_of_an_earlier_report_are_taken_over_once(tmp_path: Path) -> None:
    ladders = Ladders(10, tmp_path)
    assert ladders.adopt(report(), [classical("x264")]) == 2
    assert ladders.adopt(report(), [classical("x264")]) == 0
    files = sorted(tmp_path.rglob("*.json"))
    assert [json.loads(file.read_text())["payload_kbps"] for file in files] == [40.0, 10.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"every": 5},
        {"settings": {"x264": "another"}},
        {"metrics_version": METRICS_VERSION + 1},
        {"metrics_version": None},  # of a report that did not tell
        {"bf16": True},
        {"bf16": None},
    ],
)
def test_points_made_otherwise_are_left_alone(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert Ladders(10, tmp_path).adopt(report(**changes), [classical("x264")]) == 0


BAD_DIGESTS = ["../../../outside", "/etc/x", "A" * 64, "0" * 63, DIGEST + "\n", 7, None]
GOOD = {"lpips": 0.1, "dists": 0.1, "psnr": 30.0, "ssim": 0.9}


@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test_a_digest_never_says_where_a_file_goes(tmp_path: Path, digest: object) -> None:
    bad = report()
    bad["clips"][0]["digest"] = digest
    with pytest.raises(
        InputError, match=r"^expected a digest of 64 hexadecimal digits, found"
    ) as e:
        Ladders(10, tmp_path / "cache").adopt(bad, [classical("x264")])
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"point": "../../x"}, r"^expected a point of x264, found '\.\./\.\./x'$"),
        ({"point": 52}, "^expected a point of x264, found 52$"),
        ({"point": True}, "^expected a point of x264, found True$"),
        ({"point": 51.0}, "^expected a point of x264, found 51.0$"),
        ({"payload_kbps": math.nan}, "^expected a finite payload_kbps, found nan$"),
        ({"payload_kbps": 0}, "^expected rates above 0, found 0.0$"),
        ({"wire_kbps": None}, "^expected a finite wire_kbps, found None$"),
        ({"scores": {}}, "^expected a finite lpips, found None$"),
        ({"scores": GOOD | {"dists": math.inf}}, "^expected a finite dists, found inf$"),
        ({"scores": GOOD | {"ssim": "1"}}, "^expected a finite ssim, found '1'$"),
    ],
)
def test_what_is_no_point_is_refused_and_nothing_kept(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    bad = report()
    bad["clips"][0]["codecs"]["x264"]["ladder"][1] |= changes
    with pytest.raises(InputError, match=message):
        Ladders(10, tmp_path / "cache").adopt(bad, [classical("x264")])
    assert not list(tmp_path.iterdir())


def test_codecs_that_the_report_lacks_are_no_error(tmp_path: Path) -> None:
    assert Ladders(10, tmp_path).adopt(report(), [classical("av1")]) == 0


def test_rates_between_points_follow_the_logarithm(tmp_path: Path) -> None:
    ladders = Ladders(10, tmp_path)
    ladders.adopt(report(), [classical("x264")])
    points = [ladders._read(file) for file in tmp_path.rglob("*.json")]
    ladder = sorted((p for p in points if p is not None), key=lambda p: p.payload_kbps)
    payload, _ = matched(ladder, "lpips", 0.15)
    assert payload.kbps == pytest.approx(20.0)


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "report.json"
    path.write_text("[]")
    options = CompareOptions(codecs=("x264",), reuse=path, cache=tmp_path)
    with pytest.raises(InputError, match=r"expected a report\.json in"):
        Comparison(options, print)
