# SPDX-License-Identifier: Apache-2.0
"""Which face is followed: rules of ``Follower``, on made-up observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.face import Follower, FollowingTracker, open_tracker
from talkcodec.face.follow import visible_share
from talkcodec.face.tracker import as_rgb, observation
from talkcodec.types import U8, FaceObservation

WIDTH, HEIGHT = 640, 480


def face(x: float, y: float, side: float) -> FaceObservation:
    """A face whose landmarks fill a square of ``side`` pixels about (x, y)."""
    grid = np.random.default_rng(1).uniform(-0.5, 0.5, (478, 3))
    landmarks = grid * side + (x, y, 0)
    return observation(landmarks.astype(np.float32), WIDTH, HEIGHT)


def choose(follower: Follower, faces: list[FaceObservation], time: float) -> FaceObservation | None:
    return follower.choose(faces, time, WIDTH, HEIGHT)


def test_no_face_gives_nothing() -> None:
    follower = Follower()
    assert choose(follower, [], 0.0) is None
    assert not follower.following


def test_the_largest_face_is_taken_first() -> None:
    small, large = face(100, 200, 80), face(400, 200, 160)
    assert choose(Follower(), [small, large], 0.0) is large


def test_the_followed_face_is_kept_when_another_is_larger_and_listed_first() -> None:
    follower = Follower()
    mine = face(150, 200, 100)
    assert choose(follower, [mine], 0.0) is mine
    moved, intruder = face(160, 205, 100), face(450, 220, 300)
    assert choose(follower, [intruder, moved], 0.04) is moved
    again = face(170, 210, 100)
    assert choose(follower, [again, intruder], 0.08) is again


def test_another_face_is_not_taken_while_the_followed_one_is_briefly_lost() -> None:
    follower = Follower(patience=1.0)
    choose(follower, [face(150, 200, 100)], 0.0)
    stranger = face(450, 220, 200)
    assert choose(follower, [stranger], 0.5) is None
    assert follower.following
    back = face(155, 200, 100)
    assert choose(follower, [stranger, back], 0.9) is back


def tracked(x: float, side: float, track: int) -> FaceObservation:
    return replace(face(x, 200, side), track=track)


def test_who_was_seen_beside_the_followed_face_is_never_taken_for_it() -> None:
    follower = Follower(patience=1.0)
    assert choose(follower, [tracked(200, 150, 1), tracked(450, 100, 2)], 0.0) is not None
    passing = tracked(210, 140, 2)
    assert choose(follower, [passing], 0.2) is None
    # A number that is new may be the old face, found again.
    back = tracked(205, 150, 3)
    assert choose(follower, [passing, back], 0.4) is back
    # Once the followed face is forgotten, whoever is there will do.
    assert choose(follower, [passing], 2.0) is passing


def test_a_face_lost_for_longer_than_patience_is_forgotten() -> None:
    follower = Follower(patience=1.0)
    choose(follower, [face(150, 200, 100)], 0.0)
    stranger = face(450, 220, 200)
    assert choose(follower, [stranger], 0.99) is None
    assert choose(follower, [stranger], 1.01) is stranger


def test_a_face_mostly_outside_the_picture_counts_as_unseen() -> None:
    follower = Follower()
    assert choose(follower, [face(-30, 200, 200)], 0.0) is None
    half_in = face(40, 200, 200)
    assert 0.6 < visible_share(half_in, WIDTH, HEIGHT) < 0.8
    assert choose(follower, [half_in], 0.04) is half_in


def test_confidence_is_the_share_of_landmarks_inside() -> None:
    assert face(300, 200, 100).confidence == 1.0
    assert face(0, 200, 100).confidence == pytest.approx(0.5, abs=0.08)


class Scripted:
    """A finder that sees one given face, and counts how often it is reset."""

    def __init__(self, seen: FaceObservation) -> None:
        self.seen = seen
        self.resets = 0
        self.shapes: list[tuple[int, ...]] = []

    def find(self, picture: U8, time: float) -> list[FaceObservation]:
        self.shapes.append((*picture.shape, time > 0))
        return [self.seen]

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.resets += 100


def test_another_picture_size_or_an_earlier_time_begins_a_new_sequence() -> None:
    finder = Scripted(face(100, 100, 80))
    tracker = FollowingTracker(finder)
    wide, small = np.zeros((480, 640, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)
    tracker.track(wide, 0.0)
    tracker.track(wide, 0.04)
    assert finder.resets == 0
    finder.seen = face(200, 150, 80)  # elsewhere: only a new sequence may take it
    assert tracker.track(wide, 0.08) is None
    assert tracker.track(small, 0.12) is finder.seen
    assert finder.resets == 1
    tracker.track(small, 0.05)
    assert finder.resets == 2


def test_grey_pictures_reach_the_finder_as_three_equal_channels() -> None:
    finder = Scripted(face(100, 100, 80))
    tracker = FollowingTracker(finder)
    tracker.track(np.zeros((240, 320), np.uint8), 0.0)
    tracker.track(np.zeros((240, 320, 1), np.uint8), 0.04)
    assert [shape[:3] for shape in finder.shapes] == [(240, 320, 3)] * 2
    ramp = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (as_rgb(ramp) == ramp[:, :, None]).all()


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4, 2), (4,)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected a picture"):
        as_rgb(np.zeros(shape, np.uint8))


def test_floating_point_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="float64"):
        as_rgb(np.zeros((4, 4, 3)))  # type: ignore[arg-type]


def test_an_unknown_tracker_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="mediapipe, face-alignment, found nose"):
        open_tracker("nose")
