# SPDX-License-Identifier: Apache-2.0
"""What measures trackers is right about trackers whose faults are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.face.tracker import observation
from talkcodec.motion.landmarks import EYELIDS, LIPS, inter_ocular
from talkcodec.types import F32, U8, FaceObservation
from talkcodec.weights import shape_model
from training.evaluate.conditions import CONDITIONS, two_faces
from training.evaluate.detection import cold, empty_pictures, without_faces
from training.evaluate.landmarks import Tally, follow, robustness, whole_split
from training.evaluate.material import Material, yaw
from training.evaluate.report import tables
from training.evaluate.speed import milliseconds
from training.evaluate.still import jitter, still_windows


def face(scale: float = 1.0) -> F32:
    """Return the mean face in the middle of a canvas."""
    mean = shape_model().mean
    centred = mean - mean.mean(0)
    size = 110 * scale / np.ptp(centred[:, 1])
    return np.asarray(centred * size + (128, 128, 0), np.float32)


def material(frames: int = 20, *, name: str = "clip", moving: bool = False) -> Material:
    """Return a clip of textured squares with a face that opens its mouth and blinks."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (256, 256, 3)).astype(np.uint8)
    truth = np.repeat(face()[None], frames, 0)
    truth[:, 14, 1] += 5 * np.abs(np.sin(np.arange(frames)))
    for lid in (374, 145):
        truth[:, lid, 1] -= 2 * np.abs(np.cos(np.arange(frames)))
    shown = [np.roll(picture, i if moving else 0, 1) for i in range(frames)]
    return Material(name, 1, shown, Fraction(25), truth, np.ones(frames, bool))


class Replay:
    """A tracker that reports given landmarks, or None where there are none."""

    def __init__(self, landmarks: F32, missing: frozenset[int] = frozenset()) -> None:
        self._landmarks, self._missing, self._next = landmarks, missing, 0

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        assert time < 1e6
        index, self._next = self._next, self._next + 1
        height, width = picture.shape[:2]
        if index in self._missing:
            return None
        return observation(self._landmarks[index], width, height)

    def reset(self) -> None:
        self._next = 0

    def close(self) -> None:
        pass


def test_a_perfect_tracker_has_no_error_and_full_correlation() -> None:
    item = material()
    row = whole_split(Replay(item.teacher), [item])["all"]
    assert row["frames"] == 20
    assert row["lost"] == 0
    assert row["all"] == pytest.approx(0)
    assert row["lip_correlation"] == pytest.approx(1)
    assert row["blink_correlation"] == pytest.approx(1)


def test_errors_are_in_percent_of_the_eyes_distance_and_by_region() -> None:
    item = material()
    off = item.teacher.copy()
    off[:, list({*LIPS}), 0] += 0.04 * inter_ocular(item.teacher)[:, None]
    row = whole_split(Replay(off), [item])["all"]
    assert row["lips"] == pytest.approx(4, abs=1e-3)
    assert row["lids"] == pytest.approx(0)
    off = item.teacher.copy()
    off[:, list({*EYELIDS}), 1] += 0.02 * inter_ocular(item.teacher)[:, None]
    assert whole_split(Replay(off), [item])["all"]["lids"] == pytest.approx(2, abs=1e-3)


def test_missing_and_misplaced_faces_are_losses_and_no_errors() -> None:
    item = material()
    off = item.teacher.copy()
    off[3] += 100
    row = whole_split(Replay(off, frozenset({0, 1})), [item])["all"]
    assert row["lost"] == pytest.approx(100 * 3 / 20)
    assert row["all"] == pytest.approx(0)


def test_nothing_found_gives_a_row_without_errors() -> None:
    item = material(4)
    row = whole_split(Replay(item.teacher, frozenset(range(4))), [item])["all"]
    assert row == {"frames": 4, "lost": 100.0}
    assert Tally().row() == {"frames": 0, "lost": 0.0}


def test_frames_where_the_teacher_saw_nothing_do_not_count() -> None:
    item = material(6)
    item.found[2:] = False
    row = whole_split(Replay(item.teacher, frozenset({5})), [item])["all"]
    assert (row["frames"], row["lost"]) == (2, 0)


@pytest.mark.parametrize("angle", [-50, -20, 0, 10, 40])
def test_yaw_is_the_turn_about_the_vertical(angle: float) -> None:
    turned = face().astype(np.float64)
    turned -= turned.mean(0)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    flat = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    plain = yaw(turned[None].astype(np.float32))[0]
    assert yaw((turned @ flat.T)[None].astype(np.float32))[0] - plain == pytest.approx(angle, abs=1)


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_spoil_the_picture_and_keep_its_size(name: str) -> None:
    item = material(3)
    spoilt = CONDITIONS[name](item)
    assert len(spoilt) == 3
    for before, after in zip(item.frames, spoilt, strict=True):
        assert after.shape == before.shape
        assert after.dtype == np.uint8
        assert np.array_equal(before, after) == (name == "clean")
    np.testing.assert_array_equal(item.frames[0], material(3).frames[0])  # the clip is as it was


def test_two_faces_stand_side_by_side_and_the_landmarks_stay_with_the_left_one() -> None:
    one, other = material(4), material(3, name="other")
    both = two_faces(one, other)
    assert both.frames[0].shape == (256, 512, 3)
    assert len(both.frames) == 3
    np.testing.assert_allclose(both.teacher, one.teacher[:3])


def test_following_the_other_of_two_faces_is_a_loss() -> None:
    items = [material(4), material(4, name="other")]
    honest = robustness({"a": Replay(items[0].teacher)}, items)["a"]
    assert honest["two faces"]["lost"] == 0
    swapping = items[0].teacher.copy()
    swapping[2:, :, 0] += 256
    assert robustness({"a": Replay(swapping)}, items)["a"]["two faces"]["lost"] == 50


def test_errors_are_compared_over_frames_that_all_kept() -> None:
    item = material(10)
    off = item.teacher.copy()
    off[5:] += 0.1 * inter_ocular(item.teacher)[0]
    rows = robustness({"all": Replay(off), "half": Replay(off, frozenset(range(5, 10)))}, [item])
    assert rows["all"]["clean"]["lost"] == 0
    assert rows["half"]["clean"]["lost"] == 50
    # The half that one lost is what the other errs in: neither is charged for it.
    assert rows["all"]["clean"]["all"] == rows["half"]["clean"]["all"] == pytest.approx(0)


def test_jitter_is_what_is_added_and_not_the_turn() -> None:
    random = np.random.default_rng(0)
    path = np.repeat(face()[None], 4000, 0) + np.linspace(0, 30, 4000)[:, None, None]
    assert jitter(path.astype(np.float32), 256) < 1e-3
    path[..., :2] += random.normal(0, 0.5, path[..., :2].shape)
    # Two coordinates of 0.5 each; half of it in a picture twice as large.
    assert jitter(path.astype(np.float32), 256) == pytest.approx(0.5 * 2**0.5, rel=0.02)
    assert jitter(path.astype(np.float32), 512) == pytest.approx(0.25 * 2**0.5, rel=0.02)


def test_the_stillest_windows_are_chosen_by_the_pictures() -> None:
    chosen = still_windows([material(30, moving=True), material(30, name="still")])
    assert set(chosen) == {"still"}


class FindsOval:
    """A finder that sees one face of fixed size where the picture is bright."""

    def find(self, picture: U8, time: float) -> list[FaceObservation]:
        assert time >= 0
        height, width = picture.shape[:2]
        if picture.mean() < 100:
            return []
        return [observation(face(), width, height)]

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_cold_detection_counts_overlapping_boxes_only() -> None:
    item = material(10)
    assert cold(FindsOval(), [item], 5) == {"frames": 2, "found": 100.0}
    item.teacher[:] += 100
    assert cold(FindsOval(), [item], 5)["found"] == 0


def test_false_alarms_are_counted_over_whole_pictures_and_parts(tmp_path: Path) -> None:
    for name, level in (("dark.png", 10), ("bright.jpg", 240)):
        cv2.imwrite(str(tmp_path / name), np.full((80, 120, 3), level, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    assert len(list(empty_pictures(tmp_path, 3))) == 8
    found = without_faces(FindsOval(), tmp_path, 3)
    assert found == {"pictures": 8, "whole": 2, "false": 4, "false_in_1000": 500.0}


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected pictures without faces"):
        without_faces(FindsOval(), tmp_path, 1)
    cv2.imwrite(str(tmp_path / "tiny.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match="found none that is large"):
        without_faces(FindsOval(), tmp_path, 1)


def test_speed_is_measured_for_every_tracker() -> None:
    item = material(3)
    found = milliseconds({"a": lambda: Replay(material(4).teacher)}, item, rounds=2)
    assert set(found) == {"a"}
    assert 0 <= found["a"]["least"] <= found["a"]["mean"]


def test_following_starts_each_clip_anew() -> None:
    item = material(5)
    tracker = Replay(item.teacher)
    follow(tracker, item.frames, 25)
    found, seen = follow(tracker, item.frames, 25)
    assert seen.all()
    np.testing.assert_array_equal(found, item.teacher)


def test_tables_have_a_line_for_everything_measured() -> None:
    item = material(4)
    row = whole_split(Replay(item.teacher), [item])["all"]
    cold_row = {"cold": {"frames": 2, "found": 100.0}}
    text = tables(
        {
            "split": {"all": row},
            "split_unsmoothed": {"all": row},
            "unseen": {"all": row},
            "conditions": {"builtin": {"noise": row}, "mediapipe": {"noise": row}},
            "still": {"px_at_256": {"builtin": 0.1}},
            "detection": {
                "builtin": {**cold_row, "empty": {"pictures": 9, "whole": 3, "false": 1}}
            },
            "speed": {"builtin, openvino": {"mean": 2.0, "least": 1.5}},
        }
    )
    for expected in (
        "| val: all | 4 |",
        "| val, teacher unsmoothed: all | 4 |",
        "| unseen: all | 4 |",
        "| noise |",
        "0.100 px",
        "1 in 9, 3",
        "2.00 ms",
        "100.00 % of 2",
    ):
        assert expected in text
