# SPDX-License-Identifier: Apache-2.0
"""Whom the built-in tracker follows, by made-up networks; then the shipped ones on the portrait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from talkcodec import weights
from talkcodec.face import FollowingTracker, builtin, networks
from talkcodec.face.builtin import CROWD, LOOK, BuiltinFinder
from talkcodec.face.networks import Detector, Landmarker, Reading, overlap
from talkcodec.face.place import MARGIN, Place
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.landmarks import inter_ocular
from talkcodec.render.engine import EngineName
from talkcodec.types import F32, U8

SHIPPED = {"tracker.onnx", "detector.onnx"} <= weights.manifest().keys()
shipped = pytest.mark.skipif(not SHIPPED, reason="the weights do not ship yet")

NAMES: tuple[EngineName, ...] = ("openvino", "onnxruntime", "torch")

BLANK = np.zeros((400, 800, 3), np.uint8)


def face_at(x: float, y: float, size: float = 100.0) -> F32:
    """Return landmarks (478, 3) whose place is about (x, y), ``size`` × MARGIN wide."""
    marks = Track.load().portrait
    place = Place.around(marks)
    crop = place.to_crop(marks)
    return Place(x, y, size * MARGIN).to_picture(crop)


@dataclass
class Stage:
    """What is really there, in place of both networks.

    ``faces``: landmarks by name. ``looks``: times the detector was asked. ``reads``: places that
    were read. Whoever reads a place is told of the nearest face in it.
    """

    faces: dict[str, F32] = field(default_factory=dict)
    chances: dict[str, float] = field(default_factory=dict)
    misplaced: float = 0.0  # how far off the detector is, in sides
    looks: int = 0
    reads: list[Place] = field(default_factory=list)
    closed: int = 0

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
    times = np.arange(1, 25) / 25
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


def test_a_crowd_has_a_limit(stage: Stage) -> None:
    finder = stage.finder()
    stage.faces = {str(i): face_at(70 + 130 * i, 150, 80) for i in range(CROWD + 2)}
    assert len(finder.find(BLANK, 0.0)) == CROWD
    assert len(finder.find(BLANK, LOOK)) == CROWD


@pytest.mark.parametrize(("chance", "taken", "kept"), [(0.3, 0, 0), (0.5, 0, 1), (0.7, 1, 1)])
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
    assert stage.closed == 2


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


def test_overlap_is_intersection_over_union() -> None:
    one = Place(50, 50, 20)
    assert overlap(one, one) == 1
    assert overlap(one, Place(60, 50, 20)) == pytest.approx(1 / 3)
    assert overlap(one, Place(60, 60, 20)) == pytest.approx(1 / 7)
    assert overlap(one, Place(50, 50, 10)) == pytest.approx(1 / 4)
    assert overlap(Place(52, 50, 10), one) == pytest.approx(1 / 4)
    assert overlap(one, Place(70, 50, 20)) == 0
    assert overlap(one, Place(500, 50, 20)) == 0
    # A turned square is taken for an upright one.
    assert overlap(one, Place(50, 50, 20, 0.7)) == 1


def engine(monkeypatch: pytest.MonkeyPatch, inputs: dict[str, Any], **outputs: Any) -> list[Any]:
    """Put an engine into place that gives ``outputs``; return what it will be given."""
    given: list[Any] = []

    def run(arrays: dict[str, Any]) -> dict[str, Any]:
        given.append(arrays)
        return {name: array[None] for name, array in outputs.items()}

    made = SimpleNamespace(inputs=inputs, run=run, close=lambda: None)
    monkeypatch.setattr(networks, "_open", lambda *_: made)
    return given


def test_landmarks_come_back_in_pixels_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = np.full((478, 3), 0.25, np.float32)
    extras = np.array([0, 0.1, 0.2, 0.3], np.float32)
    given = engine(monkeypatch, {"crop": (1, 3, 64, 64)}, landmarks=marks, extras=extras)
    picture = portrait_picture()
    place = Place(120, 100, 80, np.pi / 2)
    reading = Landmarker()(picture, place)
    np.testing.assert_array_equal(given[0]["crop"][0].transpose(1, 2, 0), place.crop(picture, 64))
    np.testing.assert_allclose(reading.landmarks[0], (100, 120, 20), atol=1e-4)
    assert reading.chance == pytest.approx(0.5)
    np.testing.assert_allclose(reading.openings, (0.1, 0.2, 0.3), atol=1e-6)


Answers = dict[tuple[int, int], tuple[float, tuple[float, ...]]]


def detect(
    monkeypatch: pytest.MonkeyPatch, picture: U8, answers: Answers, most: int = 3
) -> tuple[list[tuple[float, Place]], U8]:
    """Return what the detector makes of cells that answer so, and the picture it was shown."""
    scores = np.full((16, 16), -5, np.float32)
    places = np.zeros((5, 16, 16), np.float32)
    places[3] = 1
    for cell, (score, values) in answers.items():
        scores[cell] = score
        places[:, *cell] = values
    given = engine(monkeypatch, {"picture": (1, 3, 128, 128)}, scores=scores, places=places)
    found = Detector()(picture, most)
    return found, given[0]["picture"][0].transpose(1, 2, 0)


def test_cells_tell_places_in_pixels_of_a_wide_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.full((360, 640, 3), 77, np.uint8)
    values = (0.25, -0.5, float(np.log(0.5)), float(np.cos(0.3)), float(np.sin(0.3)))
    found, shown = detect(monkeypatch, picture, {(8, 4): (0.0, values)})
    ((chance, place),) = found
    assert chance == pytest.approx(0.5)
    # A cell is 40 pixels; the square begins 140 pixels above the picture.
    assert (place.x, place.y) == pytest.approx((4.75 * 40, 8 * 40 - 140), abs=1e-4)
    assert (place.side, place.roll) == pytest.approx((320, 0.3), abs=1e-4)
    assert (shown[28:100] == 77).all()
    assert (shown[:28] == 128).all()
    assert (shown[100:] == 128).all()


@pytest.mark.parametrize("shape", [(128, 128), (360, 640), (641, 479), (40, 50), (1000, 3)])
def test_the_detector_is_shown_all_of_a_picture_of_any_shape(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    picture = np.full((*shape, 3), 200, np.uint8)
    found, shown = detect(monkeypatch, picture, {})
    assert found == []
    assert shown.shape == (128, 128, 3)
    seen = (shown == 200).all(2)
    sides = np.array([seen.any(1).sum(), seen.any(0).sum()])
    assert np.abs(sides - np.array(shape) * 128 / max(shape)).max() <= 1
    assert set(np.unique(shown)) <= {128, 200}


def plain(side: float = 0.3) -> tuple[float, ...]:
    return (0, 0, float(np.log(side)), 1, 0)


def test_one_face_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Answers = {(8, 8): (3, plain()), (8, 10): (2, plain()), (2, 2): (1, plain(0.1))}
    found, _ = detect(monkeypatch, np.zeros((160, 160, 3), np.uint8), answers)
    assert [round(place.x) for _, place in found] == [85, 25]
    assert found[0][0] > found[1][0] > 0.5


def test_a_large_face_does_not_drown_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: Answers = {
        (row, column): (5 - abs(row - 8) - 0.1 * abs(column - 8), plain(0.8))
        for row in range(6, 11)
        for column in range(5, 12)
    }
    answers[1, 14] = (1.5, plain(0.15))
    found, _ = detect(monkeypatch, np.zeros((160, 160, 3), np.uint8), answers)
    assert [(round(p.x), round(p.y)) for _, p in found] == [(85, 85), (145, 15)]


def test_no_more_faces_than_asked_for_and_none_that_is_unlikely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: Answers = {(4 * i + 2, 8): (0.5 + i, plain(0.1)) for i in range(4)}
    answers[0, 0] = (-0.1, plain(0.1))
    picture = np.zeros((160, 160, 3), np.uint8)
    assert len(detect(monkeypatch, picture, answers, most=9)[0]) == 4
    found, _ = detect(monkeypatch, picture, answers, most=2)
    assert [round(place.y) for _, place in found] == [145, 105]


# From here on: the networks that ship, on a face that they were not trained on.


@pytest.fixture(scope="module")
def portrait() -> U8:
    return portrait_picture()


@pytest.fixture(scope="module")
def recorded() -> F32:
    """What MediaPipe saw in the portrait."""
    return Track.load().portrait.astype(np.float32)


@pytest.fixture
def finder() -> Iterator[BuiltinFinder]:
    opened = BuiltinFinder(smooth=False)
    yield opened
    opened.close()


def error(found: F32, wanted: F32) -> float:
    """Return the mean distance in shares of the inter-ocular one."""
    distance = np.linalg.norm(found[:, :2] - wanted[:, :2], axis=1).mean()
    return float(distance / inter_ocular(wanted))


@shipped
def test_the_portrait_is_found_where_another_tracker_finds_it(
    finder: BuiltinFinder, portrait: U8, recorded: F32
) -> None:
    (face,) = finder.find(portrait, 0.0)
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == np.float32
    assert face.confidence > 0.8
    assert error(face.landmarks, recorded) < 0.06


@shipped
def test_a_grey_picture_shows_the_same_face(
    finder: BuiltinFinder, portrait: U8, recorded: F32
) -> None:
    grey = np.repeat(portrait.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    (face,) = finder.find(grey, 0.0)
    assert error(face.landmarks, recorded) < 0.07


@shipped
@pytest.mark.parametrize("size", [128, 200, 512, 900])
def test_a_picture_of_another_size_shows_the_same_face(
    finder: BuiltinFinder, recorded: F32, size: int
) -> None:
    (face,) = finder.find(portrait_picture(size), 0.0)
    assert error(face.landmarks * (256 / size), recorded) < 0.07


@shipped
def test_a_small_face_in_a_wide_picture_is_found(
    finder: BuiltinFinder, portrait: U8, recorded: F32
) -> None:
    wide = np.full((360, 640, 3), (90, 100, 110), np.uint8)
    wide[70:326, 310:566] = portrait
    (face,) = finder.find(wide, 0.0)
    assert error(face.landmarks - np.array([310, 70, 0], np.float32), recorded) < 0.08


@shipped
def test_a_tilted_face_is_found(finder: BuiltinFinder, portrait: U8, recorded: F32) -> None:
    tilt = Place(128, 128, 256, np.radians(20))
    (face,) = finder.find(tilt.crop(portrait, 256), 0.0)
    assert error((tilt.to_crop(recorded) + 0.5) * 256, face.landmarks) < 0.08


@shipped
def test_a_face_half_out_of_the_picture_is_not_sure_of_itself(
    finder: BuiltinFinder, portrait: U8
) -> None:
    cut = np.ascontiguousarray(portrait[:, 135:])
    for face in finder.find(cut, 0.0):
        assert face.confidence < 0.8


@shipped
@pytest.mark.parametrize("kind", ["grey", "noise", "stripes", "shoulders"])
def test_where_there_is_no_face_none_is_found(
    finder: BuiltinFinder, portrait: U8, kind: str
) -> None:
    random = np.random.default_rng(0)
    pictures = {
        "grey": np.full((256, 256, 3), 128, np.uint8),
        "noise": random.integers(0, 256, (256, 256, 3)).astype(np.uint8),
        "stripes": np.indices((256, 256, 3))[1].astype(np.uint8) * np.uint8(16),
        "shoulders": np.ascontiguousarray(portrait[180:, :76]),
    }
    assert finder.find(pictures[kind], 0.0) == []


@shipped
def test_two_people_beside_each_other_are_two_faces(
    finder: BuiltinFinder, portrait: U8, recorded: F32
) -> None:
    both = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    found = sorted(finder.find(both, 0.0), key=lambda face: face.box.left)
    assert len(found) == 2
    assert error(found[0].landmarks, recorded) < 0.08
    assert found[1].box.centre[0] == pytest.approx(512 - found[0].box.centre[0], abs=6)


@shipped
def test_a_face_that_moves_is_followed_and_the_same_each_time(portrait: U8, recorded: F32) -> None:
    runs = []
    for _ in range(2):
        with FollowingTracker(BuiltinFinder()) as tracker:
            faces = [
                tracker.track(np.roll(portrait, 4 * step, axis=1), step / 25) for step in range(8)
            ]
        assert all(faces)
        runs.append(np.stack([face.landmarks for face in faces if face]))
    np.testing.assert_array_equal(runs[0], runs[1])
    last = runs[0][-1] - np.array([28, 0, 0], np.float32)
    assert error(last, recorded) < 0.1


@shipped
def test_engines_agree_on_the_portrait(portrait: U8) -> None:
    found = []
    for name in NAMES:
        opened = BuiltinFinder(name, smooth=False)
        (face,) = opened.find(portrait, 0.0)
        found.append(face.landmarks)
        opened.close()
        opened.close()
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=0.01)
