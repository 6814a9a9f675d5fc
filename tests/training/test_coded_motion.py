# SPDX-License-Identifier: Apache-2.0
"""What motion costs and loses is measured on the stream itself, and sheets show what it shows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from talkcodec.bench.source import Source
from talkcodec.media.sources import builtin_source
from talkcodec.metrics import Clip
from training.coded_motion import errors, measure, told_by
from training.evaluate.renderers import encode
from training.evaluate.sheets import SIDE, panel


@pytest.fixture(scope="module")
def source() -> Source:
    frames = [frame.picture for frame in builtin_source(0.8, 256)]
    return Source("portrait", Clip(frames, Fraction(25)))


def test_a_file_loses_little_and_a_call_costs_more(source: Source) -> None:
    alone, twice = measure(source, redundancy=False), measure(source, redundancy=True)
    assert 2 < alone["bytes"] <= alone["layered"]
    assert alone["bytes"] < twice["bytes"]
    for name in ("all", "lips", "eyelids", "irises"):
        assert 0 < alone[name] < 5
        assert alone[name] == pytest.approx(twice[name], rel=0.2)


def test_errors_are_shares_of_the_distance_between_the_irises(source: Source) -> None:
    coded = told_by(encode(source, "geometric"))
    assert len(coded) == len(source.clip.frames)
    assert max(errors(coded, coded).values()) == 0
    moved = {tick: at + np.array([3, 4, 9]) for tick, at in coded.items()}
    apart = np.mean([1 / np.linalg.norm((at[473] - at[468])[:2]) for at in moved.values()])
    assert errors(coded, moved)["all"] == pytest.approx(500 * apart, rel=0.02)


def test_a_row_shows_the_source_above_what_a_receiver_sees(source: Source) -> None:
    row = panel(source)
    assert row.shape == (2 * SIDE, 6 * SIDE, 3)
    above, below = row[24:SIDE].astype(int), row[SIDE + 24 :].astype(int)
    assert 0 < np.abs(above - below).mean() < 20
