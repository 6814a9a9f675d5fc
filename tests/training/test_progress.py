# SPDX-License-Identifier: Apache-2.0
"""Progress is plain lines where nobody watches a terminal, and tells the time left."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from training.progress import ProgressLine, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (3600 * 3 + 290, "3 h 05 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_time_left_is_reckoned_from_where_this_session_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = io.StringIO()
    with ProgressLine(400, 100, Console(file=file, width=200)) as line:
        now += 20  # 100 steps in 20 s: the 200 that are left take 40
        line.log(200, {"lr": 1.0, "net/loss": 0.25, "samples_per_second": 40.0})
        line.tell(200, "score 0.5 [not markup]")
    assert file.getvalue().splitlines() == [
        "step 200: net/loss 0.25  40.0 samples/s  40 s left",
        "step 200: score 0.5 [not markup]",
    ]


def test_on_a_terminal_one_line_is_kept_up_to_date() -> None:
    file = io.StringIO()
    with ProgressLine(10, 0, Console(file=file, width=200, force_terminal=True)) as line:
        line.log(5, {"net/loss": 0.25, "samples_per_second": 40.0})
        line.advance(6)
    assert "6/10" in file.getvalue()
    assert "net/loss 0.25" in file.getvalue()
