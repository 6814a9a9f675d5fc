# SPDX-License-Identifier: Apache-2.0
"""A real call in which hands come before the face: video takes over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from talkcodec.face import open_tracker
from talkcodec.media.sources import builtin_source
from talkcodec.media.writer import VideoWriter
from training.failures.compose import stage, take

ROOT = Path(__file__).parents[2]
RUN = "from talkcodec.cli.main import app; app()"


def test_hands_before_the_face_change_the_mode_of_a_call(tmp_path: Path) -> None:
    frames = list(builtin_source(3.0))
    rate = 1 / frames[0].time_base
    with open_tracker() as tracker:
        portrait = take("portrait", [frame.picture for frame in frames], rate, tracker)
    assert portrait is not None
    scene = stage("hands", portrait, portrait, 5)
    with VideoWriter(tmp_path / "hands.mp4", rate) as writer:
        for tick, picture in enumerate(scene.frames):
            writer.write(picture, tick)
    options = ("--headless", "--json", "--input", str(tmp_path / "hands.mp4"), "--seconds", "6")
    done = subprocess.run(
        [sys.executable, "-c", RUN, "demo", *options, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    found = json.loads(done.stdout)
    # Back again too, where the machine keeps up with the clip: ``tests/test_watch.py`` has that.
    assert 1 <= found["mode_switches"] <= 2
    assert found["references"] >= 1
    assert found["frames_shown"] > 0
