# SPDX-License-Identifier: Apache-2.0
"""Whom the built-in tracker follows, by made-up networks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from talkcodec.face import FollowingTracker, builtin
from talkcodec.face.builtin import CROWD, LOOK, BuiltinFinder
from talkcodec.face.networks import Reading, overlap
from talkcodec.face.place import MARGIN, Place
from talkcodec.media.sources import Track
from talkcodec.types import F32, U8

BLANK = np.zeros((400, 800, 3), np.uint8)


def face_at(x: float, y: float, size: float = 100.0) -> F32:
    """Return landmarks (478, 3) whose place is about (x, y), ``size`` × MARGIN wide."""
    marks = Track.load().portrait
    place = Place.around(marks)
    crop = place.to_crop(marks)
    return Place(x, y, size * MARGIN).to_picture(crop)


@dataclass
class Stage:
    """What is really there, in place of the networks.

    ``faces``: landmarks by name. ``looks``: times the detector was asked. ``reads``: places that
    were read. Whoever reads a place is told of the nearest face in it. ``closer``: landmarks whose
    details were read; ``corrected``: by how much those move all of them, pixels.
    """

    faces: dict[str, F32] = field(default_factory=dict)
    chances: dict[str, float] = field(default_factory=dict)
    misplaced: float = 0.0  # how far off the detector is, in sides
    looks: int = 0
    reads: list[Place] = field(default_factory=list)
    closed: int = 0
    closer: list[F32] = field(default_factory=list)
    corrected: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def detect(self, picture: U8, most: int) -> list[tuple[float, Place]]:
        del picture
        self.looks += 1
        found = [Place.around(marks) for marks in self.faces.values()]
        moved = [Place(p.x + self.misplaced * p.side, p.y, p.side, p.roll) for p in found]
        return [(0.9, place) for place in moved][:most]

    def read(self, picture: U8, place: Place) -> Reading:
        del picture
        self.reads.append(place)
        best, nearest = 0.0, np.zeros((478, 3), np.float32)
        chance = 0.01
        for name, marks in self.faces.items():
            shared = overlap(place, Place.around(marks))
            if shared > max(best, 0.15):
                best, nearest, chance = shared, marks, self.chances.get(name, 0.95)
        return Reading(nearest, chance, np.zeros(3, np.float32))

    def finder(self, *, smooth: bool = False) -> BuiltinFinder:
        return BuiltinFinder(smooth=smooth)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()

    class Stub:
        def __init__(self, engine: str) -> None:
            assert engine == "auto"

        def close(self) -> None:
            made.closed += 1

    class StubDetector(Stub):
        def __call__(self, picture: U8, most: int) -> list[tuple[float, Place]]:
            return made.detect(picture, most)

    class StubLandmarker(Stub):
        def __call__(self, picture: U8, place: Place) -> Reading:
            return made.read(picture, place)

    class StubDetails(Stub):
        def __call__(self, picture: U8, landmarks: F32, face: Place) -> F32:
            del picture
            assert face == Place.around(landmarks)
            made.closer.append(landmarks)
            return landmarks + np.array(made.corrected, np.float32)

    monkeypatch.setattr(builtin, "Details", StubDetails)
    monkeypatch.setattr(builtin, "Detector", StubDetector)
    monkeypatch.setattr(builtin, "Landmarker", StubLandmarker)
    return made


def centres(finder: BuiltinFinder, time: float) -> list[int]:
    return [round(face.box.centre[0]) for face in finder.find(BLANK, time)]


def test_a_face_is_read_where_it_was_without_looking_again(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    (face,) = finder.find(BLANK, 0.0)
    np.testing.assert_array_equal(face.landmarks, stage.faces["a"])
    assert face.confidence == pytest.approx(0.95)
    assert stage.looks == 1
    before = Place.around(stage.faces["a"])
    stage.faces["a"] = face_at(206, 150)
    stage.reads.clear()
    (face,) = finder.find(BLANK, 0.04)
    np.testing.assert_array_equal(face.landmarks, stage.faces["a"])
    assert stage.reads == [before]
    assert stage.looks == 1


def test_a_place_that_was_off_is_looked_at_a_second_time(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    stage.misplaced = 0.2
    finder.find(BLANK, 0.0)
    first, second = stage.reads
    assert first.x == pytest.approx(200 + 0.2 * 100 * MARGIN, abs=1)
    assert second == Place.around(stage.faces["a"])
    stage.reads.clear()
    stage.faces["a"] = face_at(200, 150, 125)  # the same place, but nearer the camera
    finder.find(BLANK, 0.04)
    assert [round(place.side / MARGIN) for place in stage.reads] == [100, 125]


def test_details_are_read_once_a_face_and_only_of_faces(stage: Stage) -> None:
    finder = stage.finder()
    stage.corrected = (0.5, 1.0, 0.0)
    stage.misplaced = 0.2  # two looks, one correction
    stage.faces = {"a": face_at(200, 150), "b": face_at(600, 150)}
    stage.chances["b"] = 0.2
    (face,) = finder.find(BLANK, 0.0)
    assert len(stage.closer) == 1
    np.testing.assert_array_equal(stage.closer[0], stage.faces["a"])
    moved = face.landmarks - stage.faces["a"]
    np.testing.assert_allclose(moved, np.tile(stage.corrected, (478, 1)), atol=1e-4)


def test_a_lost_face_is_looked_for_at_once_and_until_it_is_back(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    finder.find(BLANK, 0.0)
    gone = stage.faces.pop("a")
    for step in range(1, 4):
        assert finder.find(BLANK, step / 25) == []
        assert stage.looks == 1 + step
    stage.faces["a"] = gone + np.float32(150)  # elsewhere
    (face,) = finder.find(BLANK, 0.16)
    np.testing.assert_array_equal(face.landmarks, stage.faces["a"])


def test_a_face_that_jumps_is_found_in_the_same_picture(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    finder.find(BLANK, 0.0)
    stage.faces["a"] = face_at(500, 150)
    assert centres(finder, 0.04) == [pytest.approx(500, abs=3)]


def test_others_are_noticed_now_and_then(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    finder.find(BLANK, 0.0)
    stage.faces["b"] = face_at(500, 150)
    times = np.arange(1, 9) / 8 * 1.9 * LOOK
    counts = [len(finder.find(BLANK, float(time))) for time in times]
    assert counts == [1 if time < LOOK else 2 for time in times]
    assert stage.looks == 2


def test_two_faces_keep_their_order_while_they_move(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces = {"a": face_at(200, 150), "b": face_at(500, 150)}
    finder.find(BLANK, 0.0)
    for step in range(1, 10):
        stage.faces = {"b": face_at(500 - 6 * step, 150), "a": face_at(200 + 6 * step, 150)}
        found = centres(finder, step / 25)
        assert found == [pytest.approx(200 + 6 * step, abs=4), pytest.approx(500 - 6 * step, abs=4)]


def test_a_face_that_is_followed_is_not_taken_up_twice(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    stage.misplaced = 0.25
    for step in range(50):
        assert len(finder.find(BLANK, step / 25)) == 1


def test_of_two_tracks_on_one_face_the_older_stays(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces["a"] = face_at(200, 150)
    finder.find(BLANK, 0.0)
    stage.faces["b"] = face_at(330, 150)
    assert len(finder.find(BLANK, LOOK)) == 2
    older = finder._tracks[0]
    # The second face goes, and what is read at its place is the first.
    del stage.faces["b"]
    stage.faces["a"] = face_at(240, 150)
    assert centres(finder, LOOK + 0.04) == [pytest.approx(240, abs=3)]
    assert finder._tracks == [older]


@pytest.mark.parametrize("first", ["still", "passer"])
def test_somebody_who_walks_past_in_front_does_not_take_the_track_along(
    stage: Stage, first: str
) -> None:
    finder = stage.finder()
    still, seen = face_at(400, 200, 100), []
    for index in range(60):
        x = 120 + 12 * index
        passer = face_at(x, 200, 120)
        hidden = abs(x - 400) < 60
        people = {"still": still, "passer": passer} if first == "still" else {"passer": passer}
        stage.faces = {"passer": passer} if hidden else {**people, "still": still}
        found = finder.find(BLANK, index / 25)
        seen.append(sorted(round(face.box.centre[0]) for face in found))
    last = 120 + 12 * 59
    assert seen[-1] == pytest.approx([400, last], abs=8)
    # The passer's track is the one that went on: at most one face is seen while one is hidden.
    parted = [faces for index, faces in enumerate(seen) if 120 + 12 * index > 480]
    assert all(
        faces[-1] == pytest.approx(x, abs=8)
        for faces, x in zip(
            parted, [120 + 12 * i for i in range(60) if 120 + 12 * i > 480], strict=True
        )
    )


def test_the_one_who_stood_still_is_followed_again(stage: Stage) -> None:
    tracker = FollowingTracker(stage.finder())
    still = face_at(400, 200, 140)
    followed = []
    for index in range(60):
        x = 100 + 12 * index
        hidden = abs(x - 400) < 60
        stage.faces = {"passer": face_at(x, 200, 120)}
        if not hidden:
            stage.faces["still"] = still
        seen = tracker.track(BLANK, index / 25)
        followed.append(None if seen is None else round(seen.box.centre[0]))
    away = [x for x in followed[45:] if x is not None]
    assert away
    assert away == pytest.approx([400] * len(away), abs=8)


def test_a_crowd_has_a_limit(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces = {str(i): face_at(70 + 130 * i, 150, 80) for i in range(CROWD + 2)}
    assert len(finder.find(BLANK, 0.0)) == CROWD
    assert len(finder.find(BLANK, LOOK)) == CROWD


@pytest.mark.parametrize(("chance", "taken", "kept"), [(0.3, 0, 0), (0.6, 0, 1), (0.95, 1, 1)])
def test_it_takes_more_to_take_a_face_up_than_to_keep_it(
    stage: Stage, chance: float, taken: int, kept: int
) -> None:
    stage.faces["a"] = face_at(200, 150)
    stage.chances["a"] = chance
    assert len(stage.finder().find(BLANK, 0.0)) == taken
    finder = stage.finder()
    stage.chances["a"] = 0.9
    finder.find(BLANK, 0.0)
    stage.chances["a"] = chance
    found = finder.find(BLANK, 0.04)
    assert len(found) == kept
    for face in found:
        assert face.confidence == pytest.approx(chance)


def test_what_is_half_outside_is_less_certain(stage: Stage) -> None:
    stage.faces["a"] = face_at(0, 150)
    (face,) = stage.finder().find(BLANK, 0.0)
    assert 0.3 < face.confidence < 0.7


def test_a_reset_forgets_faces_and_filters(stage: Stage) -> None:
    finder = stage.finder(smooth=True)
    stage.faces["a"] = face_at(200, 150)
    finder.find(BLANK, 5.0)
    finder.reset()
    stage.faces["a"] = face_at(201, 150)
    stage.reads.clear()
    (face,) = finder.find(BLANK, 0.0)  # time begins again
    assert stage.looks == 2
    assert stage.reads == [Place.around(stage.faces["a"])]
    np.testing.assert_allclose(face.landmarks, stage.faces["a"], atol=1e-4)


def test_both_networks_are_closed(stage: Stage) -> None:
    stage.finder().close()
    assert stage.closed == 3


def test_noise_is_stilled_alike_near_and_far_and_motion_is_let_through(stage: Stage) -> None:
    random = np.random.default_rng(3)
    left = {}
    for size in (60.0, 180.0):
        finder = stage.finder(smooth=True)
        random = np.random.default_rng(3)
        shown = []
        for step in range(40):
            noise = random.normal(0, 0.002 * size, (478, 3)).astype(np.float32)
            stage.faces = {"a": face_at(300, 200, size) + noise}
            (face,) = finder.find(BLANK, step / 25)
            shown.append(face.landmarks)
        left[size] = np.std(np.stack(shown[10:]), axis=0).mean() / (0.002 * size)
        stage.faces = {"a": face_at(300 + 0.1 * size, 200, size)}
        (face,) = finder.find(BLANK, 40 / 25)
        moved = (face.landmarks - shown[-1])[:, 0].mean()
        assert moved > 0.8 * 0.1 * size
    assert left[60.0] == pytest.approx(left[180.0], rel=0.05)
    assert left[60.0] < 0.85
