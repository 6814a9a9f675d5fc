# SPDX-License-Identifier: Apache-2.0
"""The commands that measure whole calls: that they measure, not what."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from talkcodec.bitstream import Reference
from talkcodec.cli.lipsync import frames
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.modes import ModeConfig

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def test_jumps_and_beeps_are_found_in_what_comes_out() -> None:
    result = run("talkcodec.cli.lipsync", "--seconds", "8", "--mode", "video")
    assert result["mode"] == "video"
    assert result["events"] >= 2
    # A machine that is busy shows late; half of the time between two jumps is beyond doubt.
    assert abs(result["offset_ms_median"]) < 400


def test_what_jumps_is_no_failure_of_the_codec() -> None:
    encoder = Encoder(EncoderConfig(acknowledged=True, modes=ModeConfig()))
    kinds = []
    for frame in frames(4.0):
        for packet in encoder.encode(frame):
            kinds.append(packet.kind)
            if packet.kind == "reference":
                encoder.acknowledge(Reference.parse(packet.data).sequence)
        assert not encoder.low_confidence, (float(frame.time), encoder.reason)
    assert kinds.count("motion") > 20


def test_a_short_soak_leaves_nothing_behind() -> None:
    result = run(
        "talkcodec.cli.soak",
        "--minutes",
        "0.2",
        "--modes",
        "3",
        "--mutes",
        "2",
        "--reconnects",
        "5",
    )
    assert result["left_behind"] == {"threads": 0, "tasks": 0}
    assert result["rss_mb"]["end"] > 50
    assert result["failed"] is None
    assert set(result["done"]) == {"mode", "mute", "reconnect"}
    for end in result["ends"]:
        assert end["failure"] is None
        assert end["connections"] >= 2
        assert end["sound"]["blocks"] > 100
        assert end["sound"]["muted"] > 0
        assert end["pictures"]["fresh"] > 0
    assert max(result["queues_most"][name] for name in ("frames", "lines", "inbox")) <= 64
    # Whatever happened, as much waits at the end as at any time, and nobody is left over.
    for queues in result["queues_end"]:
        assert {"frames", "lines", "inbox", "playout", "sound", "transport_bytes"} == set(queues)
        assert queues["frames"] <= 1
        assert queues["inbox"] + queues["lines"] <= 16
        assert queues["playout"] <= 32
        assert queues["sound"] <= 32
        assert queues["transport_bytes"] <= 8000
    # A connection that was replaced may still be ending, with the tasks and threads of its own.
    assert result["tasks"]["end"] - result["tasks"]["warm"] <= 13
    assert result["threads"]["end"] - result["threads"]["warm"] <= 4
    assert result["rss_growth"] < 0.1
