# SPDX-License-Identifier: Apache-2.0
"""What the page says of H.264 is what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talkcodec.web.figures import H264_PAYLOAD, H264_SOURCE, H264_WIRE

RESULTS = Path(__file__).parents[2] / "training" / "results" / "val.json"


def test_the_figures_are_those_of_the_comparison() -> None:
    summary = json.loads(RESULTS.read_text(encoding="utf-8"))["summary"]
    measured = summary["codecs"]["x264"]["lpips"]["call"]
    assert pytest.approx(measured["payload"]["value"], abs=0.05) == H264_PAYLOAD
    assert pytest.approx(measured["wire"]["value"], abs=0.05) == H264_WIRE
    assert f"{summary['clips']} clips" in H264_SOURCE
