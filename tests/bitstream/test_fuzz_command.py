# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from talkcodec.bitstream import fuzz
from talkcodec.errors import BitstreamError


def test_a_short_run_meets_every_kind_and_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--packets", "1500", "--seed", "3"]) == 0
    report = json.loads(capsys.readouterr().out)
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
