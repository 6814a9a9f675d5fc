# SPDX-License-Identifier: Apache-2.0
"""Rows of real calls: how they are judged, and that the command measures, not what."""

from __future__ import annotations

import asyncio
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcodec.cli import rows
from talkcodec.cli.footage import Footage, rehearsed
from talkcodec.cli.loopback import View
from talkcodec.cli.machine import Lateness, Machine, Waiting
from talkcodec.cli.seen import fresh_part
from talkcodec.errors import InputError
from talkcodec.media.sources import builtin_source
from talkcodec.media.writer import VideoWriter

STEP = 0.04


def view(tick: int, time: float, *, concealed: bool = False) -> View:
    """A picture on a playout that shows tick 0 at 10 s, in groups of 3."""
    return View(time, tick, concealed, None if concealed else 0.1, 10.0, 3)


def test_pictures_in_time_are_fresh_and_guesses_are_not() -> None:
    views = [view(tick, 10 + STEP * tick) for tick in range(50)]
    assert fresh_part(views, 10.5, 12.0, STEP) == 1
    # From tick 20 on only guesses: the first six are within two groups of what came.
    views = views[:20] + [view(tick, 10 + STEP * tick, concealed=True) for tick in range(20, 50)]
    found = fresh_part(views, 10.0, 12.0, STEP)
    assert found == pytest.approx((20 + 6) / 50, abs=0.03)


def test_footage_goes_to_and_fro_at_any_rate() -> None:
    pictures = [np.full((4, 4, 3), value, np.uint8) for value in range(3)]
    footage = Footage(pictures, Fraction(25))
    seen = [int(frame.picture[0, 0, 0]) for frame in footage.frames(0.27)]
    assert seen == [0, 1, 2, 1, 0, 1, 2]
    assert len(list(footage.frames(1.0, Fraction(30)))) == 30
    assert [float(f.time) for f in footage.frames(0.09, Fraction(50))] == [
        0,
        0.02,
        0.04,
        0.06,
        0.08,
    ]
    assert list(rehearsed([], 1.0)) == []


def test_a_clip_is_footage(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "in.mp4", Fraction(25)) as writer:
        for frame in builtin_source(0.3):
            writer.write(frame.picture, frame.pts)
    footage = Footage.load(str(tmp_path / "in.mp4"))
    assert (len(footage.pictures), footage.rate) == (8, Fraction(25))
    assert footage.pictures[0].shape == (256, 256, 3)


def test_lateness_is_told_in_quantiles_and_by_time() -> None:
    lateness = Lateness()
    for number in range(100):
        lateness.note(number, 0.001 if number < 98 else 0.05)
    lateness.note(200.0, 0.3)
    assert lateness.report() == {"p50": 1.0, "p95": 1.0, "p99": 50.0, "max": 300.0}
    assert lateness.worst(199.8, 199.9) == 0.3
    assert lateness.worst(150.0, 199.0) == 0
    assert Lateness().report() == {}


def test_waiting_is_told_between_two_times() -> None:
    waiting = Waiting()
    assert waiting.cores() is None
    waiting.samples = [(0.0, 1.0), (1.0, 1.0), (2.0, 3.0), (3.0, 3.0)]
    assert waiting.cores() == 0.67
    assert waiting.cores(1.2, 1.4) == 2
    assert waiting.cores(5.0, 6.0) == waiting.cores(2.5, 2.6) == 0
    assert waiting.cores(-2.0, -1.0) == 0


def test_the_machine_is_watched_from_outside_and_inside() -> None:
    async def watch() -> Machine:
        async with Machine() as machine:
            await asyncio.sleep(0.6)
            time.sleep(0.3)  # noqa: ASYNC251  it is what is to be found
            await asyncio.sleep(0.1)
        return machine

    report = asyncio.run(watch()).report()
    assert report["loop_late_ms"]["max"] >= 290
    assert set(report["timer_late_ms"]) == {"p50", "p95", "p99", "max"}
    assert report["draw_ms"] == {"p50": 0.0, "p95": 0.0, "max": 0.0}


def test_rows_are_chosen_by_name(tmp_path: Path) -> None:
    assert "trace" not in rows.chosen("", traces=False)
    assert rows.chosen("soak,steady", traces=False) == ["soak", "steady"]
    with pytest.raises(InputError, match="expected rows of steady, loss_30"):
        rows.chosen("lunch", traces=True)
    with pytest.raises(InputError, match="found no pair"):
        rows.chosen("trace", traces=rows.pair_of(tmp_path) is not None)
    for name in ("b.up", "a.up", "b.down"):
        (tmp_path / name).write_text("1\n")
    assert rows.pair_of(tmp_path) == (tmp_path / "b.up", tmp_path / "b.down")


def test_the_command_prints_rows_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "rows.json"
    rows.main(["--rows", "steady,loss_30", "--seconds", "8", "--json", str(kept)])
    out, told = capsys.readouterr()
    assert kept.read_text() == out
    found = json.loads(out)["rows"]
    assert set(found) == {"steady", "loss_30"}
    for name, row in found.items():
        # On a machine that is busy there may be no picture in so short a time.
        assert row["figures"] or row["found"].startswith("failed: expected")
        assert row["met"] in {True, False}
        assert set(row["machine"]["timer_late_ms"]) == {"p50", "p95", "p99", "max"}
        assert f"| {name} | {row['found']} | {row['aim']} |" in told
    with pytest.raises(SystemExit):
        rows.main(["--seconds", "-1"])
    assert "expected up to an hour" in capsys.readouterr().err
