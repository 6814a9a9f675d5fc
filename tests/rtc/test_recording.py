# SPDX-License-Identifier: Apache-2.0
"""What a call leaves to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.rtc.recording import Recording
from talkcodec.types import U8


def picture(level: int) -> U8:
    return np.full((32, 32, 3), (level, 0, 255 - level), np.uint8)


def test_a_missing_frame_shows_the_last_one_as_the_screen_did() -> None:
    recording = Recording()
    for tick in range(5, 9):
        recording.sent(tick, picture(10 * tick))
    recording.shown(6, picture(200))
    assert recording.first_tick == 5
    pairs = list(recording.pairs())
    assert [tick for tick, _, _ in pairs] == [5, 6, 7, 8]
    assert np.abs(pairs[1][1].astype(int) - picture(60)).max() < 8
    assert pairs[0][2].std() == 0
    for _, _, right in pairs[1:]:
        assert np.abs(right.astype(int) - picture(200)).max() < 8


def test_recordings_are_bounded() -> None:
    recording = Recording(limit=3)
    for tick in range(9):
        recording.sent(tick, picture(0))
    assert len(list(recording.pairs())) == 3


def test_the_contact_sheet_shows_moments_from_first_to_last(tmp_path: Path) -> None:
    recording = Recording()
    for tick in range(20):
        recording.sent(tick, picture(10 * tick))
        recording.shown(tick, picture(10 * tick))
    path = tmp_path / "sheet.png"
    recording.contact_sheet(path, columns=4)
    sheet = cv2.imread(str(path))
    assert sheet is not None
    assert sheet.shape == (64, 128, 3)
    assert sheet[0, 0, 2] < 10  # red in BGR: the first frame has none
    assert sheet[0, 127, 2] > 180


def test_an_empty_recording_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected frames with a face"):
        Recording().contact_sheet(tmp_path / "sheet.png")
