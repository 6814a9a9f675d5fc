# SPDX-License-Identifier: Apache-2.0
"""``talkcodec train evaluate`` as a shell sees it; what it measures is tested elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talkcodec.cli.main import app


def test_it_prints_a_table_or_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    content = {"speed": {"builtin": {"mean": 2.0}}}
    monkeypatch.setattr("training.evaluate.run.evaluate", lambda *_: content)
    monkeypatch.setattr("training.evaluate.report.tables", lambda _: "| a table |")
    command = ["train", "evaluate", str(tmp_path), "--out", str(tmp_path / "tracker.json")]
    plain = CliRunner().invoke(app, command, catch_exceptions=False)
    assert plain.stdout == "| a table |\n"
    told = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    assert told.exit_code == 0
    assert json.loads(told.stdout) == content
    assert json.loads((tmp_path / "tracker.json").read_text()) == content


def test_a_missing_package_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "training.evaluate.run", None)
    told = CliRunner().invoke(app, ["train", "evaluate", str(tmp_path)])
    assert told.exit_code == 1
    assert told.stderr.startswith("talkcodec: expected the packages of talkcodec[train], found no")
    assert told.stderr.count("\n") == 1
