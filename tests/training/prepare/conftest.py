# SPDX-License-Identifier: Apache-2.0
"""A folder of videos with one of everything, made from the built-in portrait."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.media.sources import builtin_source
from talkcodec.types import U8
from tests.training.prepare.making import write_video


@pytest.fixture(scope="session")
def portrait_pictures() -> list[U8]:
    return [frame.picture for frame in builtin_source(1.2)]


@pytest.fixture(scope="session")
def videos(portrait_pictures: list[U8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder a person: two of them, a copy, a picture without anybody, and a damaged file."""
    folder = tmp_path_factory.mktemp("videos")
    mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in portrait_pictures]
    dimmed = [np.asarray(picture * 0.97, np.uint8) for picture in mirrored]
    enlarged = (cv2.resize(p, (512, 512), interpolation=cv2.INTER_CUBIC) for p in portrait_pictures)
    write_video(folder / "anna" / "one.mp4", [np.asarray(p, np.uint8) for p in enlarged])
    write_video(folder / "ben" / "one.mp4", mirrored)
    write_video(folder / "ben" / "two.mp4", dimmed)
    noise = np.random.default_rng(0).integers(100, 140, (96, 128, 3), np.uint8)
    write_video(folder / "cleo" / "away.mp4", [noise] * 30)
    (folder / "dora").mkdir()
    (folder / "dora" / "torn.mp4").write_bytes((folder / "ben" / "one.mp4").read_bytes()[:2000])
    return folder
