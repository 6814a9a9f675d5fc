# SPDX-License-Identifier: Apache-2.0
"""Whole calls: the demo command, and the two examples calling each other."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.media.reader import VideoReader
from talkcodec.media.sources import builtin_source
from talkcodec.media.writer import VideoWriter
from talkcodec.types import F64, U8

RUN = "from talkcodec.cli.main import app; app()"
ROOT = Path(__file__).parents[2]
KEYS = [
    "payload_kbps",
    "wire_kbps_forward",
    "wire_kbps_back",
    "steady_wire_kbps",
    "frames_sent",
    "frames_shown",
    "freezes_over_200ms",
    "motion_delay_ms",
    "delay_parts_ms",
    "references",
    "mode_switches",
    "files",
]


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "demo", "--headless", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=150, check=False
    )


def likeness(sent: list[U8], shown: list[U8]) -> float:
    """Return the correlation of how two lists of pictures change: 1 the same, 0 a frozen one."""

    def changes(pictures: list[U8]) -> F64:
        # As thumbnails: what moves counts, and noise does not.
        thumbs = [cv2.resize(picture, (32, 32), None, 0, 0, cv2.INTER_AREA) for picture in pictures]
        stack: F64 = np.stack(thumbs).astype(np.float64)
        stack -= stack.mean(axis=0)
        return stack

    one, two = changes(sent), changes(shown)
    return float((one * two).sum() / (np.linalg.norm(one) * np.linalg.norm(two) + 1e-6))


# A machine that is busy with other things delays the first picture, by seconds when it is lost.
@pytest.mark.parametrize("link", ["", "loss=0.05,rtt=50,rate=200k"])
def test_the_demo_shows_a_face_and_measures_the_call(tmp_path: Path, link: str) -> None:
    done = demo(tmp_path, "--seconds", "4", "--json", "--link", link)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert list(summary) == KEYS
    assert list(summary["motion_delay_ms"]) == ["p50", "p95", "max"]
    assert summary["references"] >= 1
    # Much of four seconds may pass before the first picture, and then most frames are shown.
    assert 0.3 * summary["frames_sent"] < summary["frames_shown"] <= summary["frames_sent"] <= 100
    assert 0 < summary["payload_kbps"] < summary["wire_kbps_forward"]
    assert summary["wire_kbps_back"] > 0
    steady = summary["steady_wire_kbps"]
    assert steady["both"] == pytest.approx(steady["forward"] + steady["back"], abs=0.01)
    # Eight packets a second with their acknowledgements, and at first some references.
    assert 5 < steady["both"] < 100
    names = [Path(name).name for name in summary["files"]]
    assert names == ["received.mp4", "side_by_side.mp4", "contact_sheet.png"]
    assert all((tmp_path / name).stat().st_size > 1000 for name in summary["files"])
    with VideoReader(tmp_path / summary["files"][1]) as video:
        assert (video.info.width, video.info.height) == (512, 256)
        pictures = [frame.picture for frame in video]
    # Before the first picture there is flat grey.
    drawn = [both for both in pictures if both[:, 256:].std() > 10]
    assert len(drawn) > 0.3 * len(pictures)
    sent, shown = [both[:, :256] for both in drawn], [both[:, 256:] for both in drawn]
    steps = [abs(one.astype(int) - two).mean() for one, two in zip(sent, shown, strict=True)]
    assert np.median(steps) < 8
    assert likeness(sent, shown) > 0.8
    assert likeness(sent, [shown[-1]] * len(shown)) < 0.1


def test_a_wrong_link_is_told_in_one_line(tmp_path: Path) -> None:
    done = demo(tmp_path, "--link", "speed=1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "expected loss|burst|rtt|" in done.stderr


def test_the_examples_call_each_other(tmp_path: Path) -> None:
    source, shown = tmp_path / "source.mp4", tmp_path / "shown.mp4"
    with VideoWriter(source, Fraction(25)) as video:
        for frame in builtin_source(1.5):
            video.write(frame.picture, frame.pts)
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples/live_receiver.py"), str(shown), "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as listening:
        assert listening.stdout is not None
        ready, port = listening.stdout.readline().rsplit(maxsplit=1)
        assert ready == "ready at port"
        command = [
            sys.executable,
            str(ROOT / "examples/live_sender.py"),
            str(source),
            "127.0.0.1",
            port,
        ]
        sent = subprocess.run(command, cwd=ROOT, timeout=120, check=True, capture_output=True)
        assert b"SenderReport" in sent.stdout
        assert "ReceiverReport" in listening.stdout.read()
        assert listening.wait(60) == 0
    with VideoReader(shown) as video:
        assert sum(1 for _ in video) > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "nowhere.mp4"], "expected a video file, found nowhere.mp4"),
        (["--seconds", "0"], "expected 0 to 3600 seconds, found 0"),
        (["--link", "loss=2", "--input", "nowhere.mp4"], "expected a loss between 0 and 1"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    tmp_path: Path, options: list[str], message: str
) -> None:
    done = demo(tmp_path, *options)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_video_without_a_face_is_shown_as_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "empty.mp4", Fraction(25)) as video:
        for tick in range(100):
            video.write(np.full((256, 256, 3), 150, np.uint8), tick)
    done = demo(tmp_path, "--input", "empty.mp4", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["mode_switches"], summary["references"]) == (1, 0)
    assert summary["frames_shown"] > 0
    with VideoReader(tmp_path / summary["files"][0]) as received:
        assert abs(float(list(received)[-1].picture.mean()) - 150) < 5
