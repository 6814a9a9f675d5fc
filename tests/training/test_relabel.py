# SPDX-License-Identifier: Apache-2.0
"""Labels of single frames replace those of followed ones, unless they are of another face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcodec.face.tracker import observation
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.landmarks import inter_ocular
from talkcodec.types import F32, U8, FaceObservation
from training.relabel import StillTeacher, relabel
from training.store import FrameStore, StoreWriter


class Answers:
    """A teacher that has its answers ready."""

    def __init__(self, answers: list[F32 | None]) -> None:
        self._answers = iter(answers)

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        assert picture.shape == (256, 256, 3)
        assert time == 0
        marks = next(self._answers)
        return None if marks is None else observation(marks, 256, 256)

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    marks = Track.load().portrait.astype(np.float32)
    writer = StoreWriter(tmp_path, 3)
    pictures = [np.zeros((256, 256, 3), np.uint8)] * 3
    writer.add(pictures, np.stack([marks] * 3), 7, {"name": "clip", "licence": "MIT"})
    writer.close()
    return FrameStore.open(tmp_path)


def test_new_labels_are_taken_where_they_are_of_the_same_face(store: FrameStore) -> None:
    old = store.landmarks[0]
    near = (old + np.float32(0.1 * inter_ocular(old))).astype(np.float32)
    far = (old + np.float32(2 * inter_ocular(old))).astype(np.float32)
    labels, kept = relabel(store, Answers([near, None, far]))
    assert kept == 2
    np.testing.assert_array_equal(labels[0], near)
    np.testing.assert_array_equal(labels[1:], store.landmarks[1:])


def test_the_teacher_forgets_every_picture_at_once() -> None:
    pytest.importorskip("mediapipe")
    teacher = StillTeacher()
    portrait = portrait_picture()
    first = teacher.track(portrait, 0.0)
    assert first is not None
    assert first.landmarks.shape == (478, 3)
    assert teacher.track(np.zeros_like(portrait), 0.0) is None
    moved = np.roll(portrait, 8, axis=1)
    found, again = teacher.track(moved, 0.0), teacher.track(portrait, 0.0)
    assert found is not None
    assert again is not None
    np.testing.assert_array_equal(again.landmarks, first.landmarks)
    # Nothing is smoothed: all of the move is there at once.
    assert (found.landmarks - first.landmarks)[:, 0].mean() == pytest.approx(8, abs=0.7)
    teacher.close()
