# SPDX-License-Identifier: Apache-2.0
"""VMAF by the packaged ffmpeg."""

from __future__ import annotations

from fractions import Fraction

import pytest

from talkcodec.metrics import Clip, open_metrics
from talkcodec.types import U8


@pytest.mark.needs("imageio_ffmpeg")
def test_vmaf_falls_with_blur(portrait: U8, worse: dict[str, list[Clip]]) -> None:
    suite = open_metrics(["vmaf"])
    assert not suite.absent
    scorer = suite.against(Clip([portrait] * 2, Fraction(25)), every=7)
    same = scorer.score(Clip([portrait] * 2, Fraction(25)))["vmaf"]
    assert len(same) == 2  # every frame, whatever "every" says
    assert same.mean() > 90
    values = [
        scorer.score(Clip([clip.frames[0]] * 2, Fraction(25)))["vmaf"].mean()
        for clip in worse["blur"]
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 40
