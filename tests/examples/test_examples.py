# SPDX-License-Identifier: Apache-2.0
"""The examples of sinks and bridges, run as their readers would run them."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av

from talkcodec.media.sound import RATE, audio_frame, tone
from talkcodec.media.sources import builtin_source

ROOT = Path(__file__).parents[2]


def run(folder: Path, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_sink_of_ones_own_gets_every_picture(tmp_path: Path) -> None:
    run(tmp_path, "custom_sink.py", "changes.csv")
    rows = [line.split(",") for line in (tmp_path / "changes.csv").read_text().splitlines()]
    assert len(rows) > 30
    assert {row[1] for row in rows} == {"motion"}
    assert any(float(row[2]) > 0 for row in rows)


def test_swapped_tracks_carry_pictures_and_sound(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 256
        audio = container.add_stream("aac", rate=RATE)
        audio.layout = "mono"
        for frame in builtin_source(3):
            picture = av.VideoFrame.from_ndarray(frame.picture, format="rgb24")
            picture.pts, picture.time_base = frame.pts, Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for number, block in enumerate(tone(3)):
            container.mux(audio.encode(audio_frame(block.samples, number * 960)))
        container.mux(audio.encode(None))
    told = [line.split()[0] for line in run(tmp_path, "swap_track.py", str(path), "3").splitlines()]
    assert told.count("video") > 0
    assert told.count("audio") > 20
