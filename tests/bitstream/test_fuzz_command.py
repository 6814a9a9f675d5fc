# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from talkcodec.bitstream import ControlMessage, TkcReader, fuzz, parse_control
from talkcodec.errors import BitstreamError
from talkcodec.types import Packet


def test_a_short_run_meets_every_kind_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "fuzz.json"
    assert fuzz.main(["--packets", "1500", "--seed", "3", "--json", str(written)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert json.loads(written.read_text()) == report
    assert report["seed"] == 3
    assert report["seconds"] > 0
    assert report["resident_mb"]["after"] >= report["resident_mb"]["before"] - 8 > 0
    outcomes = report["outcomes"]
    assert sum(outcomes.values()) == report["inputs"] == 1500
    assert {"BitstreamError", "TruncatedError", "parsed motion", "parsed reference"} <= set(
        outcomes
    )
    assert report["resident_growth_bytes"] < 8 << 20


def test_the_seeds_themselves_parse() -> None:
    target = fuzz.Target(1)
    kinds = {target.feed(seed) for seed in target.seeds}
    assert kinds == {"header", "reference", "motion", "chunk", "control", "report", "file"}
    control = [seed for seed in target.seeds if seed[0] == 4]
    assert {type(parse_control(seed)) for seed in control} == set(get_args(ControlMessage))


def test_a_seek_that_gives_other_packets_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = TkcReader.seek

    def wrong(self: TkcReader, tick: int) -> list[Packet]:
        packets = right(self, tick)
        self.read()
        return packets[:1] * 2

    monkeypatch.setattr(TkcReader, "seek", wrong)
    assert fuzz.main(["--packets", "300"]) == 1
    assert "seeking to tick" in capsys.readouterr().err


@pytest.mark.parametrize("error", [IndexError("oops"), AssertionError("no"), OverflowError()])
def test_an_undocumented_error_ends_the_run_with_the_input(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(data: bytes) -> None:
        raise error if len(data) % 2 else BitstreamError("expected nothing")

    monkeypatch.setattr(fuzz, "parse_control", broken)
    assert fuzz.main(["--packets", "3000"]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert type(error).__name__ in message
    assert " for 04" in message or " for 89" in message


def test_growth_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = iter(range(0, 10**9, 10**7))
    monkeypatch.setattr(fuzz, "resident_bytes", lambda: next(sizes))
    assert fuzz.main(["--packets", "100"]) == 1
    assert "expected growth below" in capsys.readouterr().err
