# SPDX-License-Identifier: Apache-2.0
"""What the networks say is put where it belongs in the picture, by made-up engines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from talkcodec import weights
from talkcodec.face.details import DETAILS
from talkcodec.face.networks import Details, Detector, Landmarker, overlap, told_place
from talkcodec.face.place import MARGIN, Place
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS
from talkcodec.types import F32, U8
from training.augment.mirror import mirrored_landmarks

BLANK = np.zeros((400, 800, 3), np.uint8)


def face_at(x: float, y: float, size: float = 100.0) -> F32:
    """Return landmarks (478, 3) whose place is about (x, y), ``size`` × MARGIN wide."""
    marks = Track.load().portrait
    place = Place.around(marks)
    crop = place.to_crop(marks)
    return Place(x, y, size * MARGIN).to_picture(crop)


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
    monkeypatch.setattr(weights, "open_network", lambda *_: made)
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


def test_details_are_put_back_where_they_were_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = face_at(400, 200, 150)
    face = Place.around(marks)
    places = {detail.name: detail.place(marks, face) for detail in DETAILS}
    # Every point a little to the right of where it is: of the mirrored left eye too.
    wanted = marks + np.array([2, 0, 0], np.float32)
    told = {f"{d.name}_points": d.to_crop(wanted, places[d.name]) for d in DETAILS}
    sizes = {"mouth": (1, 3, 64, 64), "right": (1, 3, 48, 48), "left": (1, 3, 48, 48)}
    given = engine(monkeypatch, sizes, **told)
    picture = np.random.default_rng(0).integers(0, 256, (400, 800, 3)).astype(np.uint8)
    found = Details()(picture, marks, face)
    read = sorted({point for detail in DETAILS for point in detail.points})
    assert read == sorted({*LIPS, *EYELIDS, *IRISES})
    np.testing.assert_allclose(found[read], wanted[read], atol=1e-3)
    rest = np.setdiff1d(np.arange(478), read)
    np.testing.assert_array_equal(found[rest], marks[rest])
    for detail in DETAILS:
        seen = given[0][detail.name][0].transpose(1, 2, 0)
        straight = places[detail.name].crop(picture, seen.shape[0])
        np.testing.assert_array_equal(seen, straight[:, ::-1] if detail.mirrored else straight)


def test_partners_of_both_eyes_are_read_in_the_same_order() -> None:
    _, right, left = DETAILS
    partners = mirrored_landmarks()
    assert [int(partners[point]) for point in right.points] == list(left.points)


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
    found, shown = detect(monkeypatch, picture, {(8, 4): (1.0, values)})
    ((chance, place),) = found
    assert chance == pytest.approx(1 / (1 + np.exp(-1)))
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


@pytest.mark.parametrize(("size", "side"), [(9.0, np.e), (-9.0, np.exp(-4))])
def test_a_cell_cannot_tell_of_a_face_of_any_size(size: float, side: float) -> None:
    places = np.zeros((5, 16, 16), np.float32)
    places[2], places[3] = size, 1
    assert told_place(places, 3, 5, Place(64, 64, 128)).side == pytest.approx(128 * side)
