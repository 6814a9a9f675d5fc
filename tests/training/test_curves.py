# SPDX-License-Identifier: Apache-2.0
"""Curves are drawn from what the loop wrote."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from talkcodec.errors import InputError
from training.curves import draw, read

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
