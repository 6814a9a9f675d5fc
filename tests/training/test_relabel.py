# SPDX-License-Identifier: Apache-2.0
"""Labels without smoothing replace smoothed ones, unless they are of another face."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from talkcodec.face.tracker import observation
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.landmarks import inter_ocular
from talkcodec.types import F32, U8, FaceObservation
from training.relabel import APART, UnsmoothedTeacher, relabel
from training.store import FrameStore, StoreWriter


class Answers:
    """A teacher that has its answers ready."""

    def __init__(self, answers: list[F32 | None]) -> None:
        self._answers = answers
        self._time = -1.0
        self.told = 0
        #: Before which answers it was reset.
        self.resets: list[int] = []

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        assert picture.shape == (256, 256, 3)
        assert time > self._time
        self._time = time
        marks = self._answers[self.told]
        self.told += 1
        return None if marks is None else observation(marks, 256, 256)

    def reset(self) -> None:
        self.resets.append(self.told)

    def close(self) -> None:
        pass


class Script:
    """Stands for the native landmarker: each look sees a face (True) or none, as written."""

    looks: ClassVar[list[bool]]
    times: ClassVar[list[float]]
    opened: ClassVar[int]

    def __init__(self, model: Path, faces: int) -> None:
        assert (model.name, faces) == ("model", 1)
        type(self).opened += 1
        self.times.clear()

    def detect(self, picture: U8, time: float) -> list[FaceObservation]:
        height, width = picture.shape[:2]
        self.times.append(time)
        marks = np.full((478, 3), time, np.float32)
        return [observation(marks, width, height)] if self.looks.pop(0) else []

    def close(self) -> None:
        pass


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> type[Script]:
    Script.looks, Script.times, Script.opened = [], [], 0
    monkeypatch.setattr("training.relabel.Landmarker", Script)
    monkeypatch.setattr("training.relabel.check_version", lambda: "0")
    monkeypatch.setattr("training.relabel.model_path", lambda: Path("model"))
    return Script


@pytest.fixture
def store(tmp_path: Path) -> FrameStore:
    marks = Track.load().portrait.astype(np.float32)
    writer = StoreWriter(tmp_path, 5)
    for name, count in (("clip", 3), ("other", 2)):
        pictures = [np.zeros((256, 256, 3), np.uint8)] * count
        writer.add(pictures, np.stack([marks] * count), 7, {"name": name, "licence": "MIT"})
    writer.close()
    return FrameStore.open(tmp_path)


def test_new_labels_are_taken_where_they_are_of_the_same_face(store: FrameStore) -> None:
    old = store.landmarks[0]
    near = (old + np.float32(0.1 * inter_ocular(old))).astype(np.float32)
    far = (old + np.float32(2 * inter_ocular(old))).astype(np.float32)
    labels, kept = relabel(store, Answers([near, None, far, near, near]))
    assert kept == 2
    np.testing.assert_array_equal(labels[[0, 3, 4]], [near] * 3)
    np.testing.assert_array_equal(labels[1:3], store.landmarks[1:3])


def test_every_clip_is_followed_anew(store: FrameStore) -> None:
    teacher = Answers([None] * 5)
    relabel(store, teacher)
    assert teacher.resets == [3]


def test_a_face_is_looked_at_again_when_found_and_when_lost(script: type[Script]) -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    teacher = UnsmoothedTeacher()
    # Each line is a picture: what is seen at each look at it.
    story = [
        [True, True],  # found
        [True],  # followed
        [False, True, True],  # elsewhere: lost, and found
        [True],
        [False, False],  # gone
        [False],
        [True, True],  # back
    ]
    for looks in story:
        script.looks = looks.copy()
        seen = teacher.track(picture, 0.0)
        assert script.looks == []
        assert (seen is not None) == looks[-1]
        if seen is not None:
            assert seen.landmarks[0, 0] == script.times[-1]  # the last look counts
    assert (np.diff(script.times) == APART).all()
    teacher.reset()
    script.looks = [True, True]
    assert teacher.track(picture, 0.0) is not None
    assert (script.opened, len(script.times)) == (2, 2)


def test_the_teacher_follows_and_hardly_smooths() -> None:
    pytest.importorskip("mediapipe")
    portrait = portrait_picture()
    with closing(UnsmoothedTeacher()) as teacher:
        first = teacher.track(portrait, 0.0)
        moved = teacher.track(np.roll(portrait, 8, axis=1), 0.0)
        assert teacher.track(np.zeros_like(portrait), 0.0) is None
        again = teacher.track(portrait, 0.0)
        teacher.reset()
        anew = teacher.track(portrait, 0.0)
    teacher.close()  # twice is fine
    assert first is not None
    assert moved is not None
    assert again is not None
    assert anew is not None
    assert first.landmarks.shape == (478, 3)
    # All of the move is there at once.
    assert (moved.landmarks - first.landmarks)[:, 0].mean() == pytest.approx(8, abs=0.7)
    off = np.linalg.norm(again.landmarks - first.landmarks, axis=1).mean()
    assert off < 0.02 * inter_ocular(first.landmarks)
    np.testing.assert_array_equal(anew.landmarks, first.landmarks)


def test_a_face_that_jumps_is_found_in_the_same_picture() -> None:
    pytest.importorskip("mediapipe")
    portrait = portrait_picture()
    blank = np.full_like(portrait, 200)
    with closing(UnsmoothedTeacher()) as teacher:
        for order, centre in (((blank, portrait), 382), ((portrait, blank), 126)):
            seen = teacher.track(np.concatenate(order, axis=1), 0.0)
            assert seen is not None
            assert seen.box.centre[0] == pytest.approx(centre, abs=6)
