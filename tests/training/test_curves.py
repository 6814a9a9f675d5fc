# SPDX-License-Identifier: Apache-2.0
"""Curves are drawn from what the loop wrote."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from talkcodec.errors import InputError
from training.curves import _scale, draw, read

RECORDS = [
    {"step": 1, "kind": "train", "lr": 0.1, "toy/loss": 2.0, "toy/norm": 9.0},
    {"step": 2, "kind": "train", "lr": 0.1, "toy/loss": None, "toy/norm": 9.0},
    {"step": 2, "kind": "validate", "score": 0.5},
    {"step": 3, "kind": "train", "lr": 0.1, "toy/loss": 1.0, "toy/norm": 9.0},
]


def test_losses_and_scores_are_read_and_the_rest_is_not(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    found = read(tmp_path)
    assert found == {
        "train": {"toy/loss": [(1, 2.0), (3, 1.0)]},
        "validate": {"score": [(2, 0.5)]},
    }


def test_a_picture_has_a_row_for_every_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    heights = []
    for count in (1, 2):
        draw([("toy", read(tmp_path))] * count, tmp_path / "curves.png")
        picture = cv2.imread(str(tmp_path / "curves.png"))
        assert picture is not None
        heights.append(picture.shape[0])
    assert heights[1] == 2 * heights[0]


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected .*log\.jsonl, found none"):
        read(tmp_path)


@pytest.mark.parametrize("cut", ['{"step": 4, "ki', '{"step": 4, "kind": "train", "toy/loss": 1'])
def test_a_last_line_that_was_cut_is_left_out(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    whole = read(tmp_path)
    path.write_text(path.read_text() + cut)
    assert read(tmp_path) == whole


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.5, 2.0], "log"), ([-0.2, 0.0, 0.5], "symlog"), ([0.0, -1.0], "linear")],
)
def test_an_axis_shows_all_of_its_values(values: list[float], scale: str) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    axis.plot(values)
    _scale(axis, values)
    assert axis.get_yscale() == scale
