# SPDX-License-Identifier: Apache-2.0
"""The manifest is filtered as promised; labels travel through their files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.face.tracker import observation
from talkcodec.types import U8, FaceObservation
from training.corpus import PERMISSIVE, canvas, clips, load_labels
from training.label import label
from training.recorded import RecordedTracker
from training.study import one_a_person

HEADER = "id\tsplit\tidentity\trepo_licence\tfps\tseconds"
ROWS = (
    "t_b\ttrain\t1\tMIT\t29.97\t5.0",
    "t_a\ttrain\t1\tCC-BY-NC-4.0\t25.0\t9.0",
    "t_c\ttrain\t2\tApache-2.0\t25.0\t1.2",
    "v_a\tval\t3\tMIT\t25.0\t6.0",
    "t_p021_c0052_0\ttrain\t4\tMIT\t25.0\t6.0",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "manifest.tsv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    return tmp_path


def test_clips_come_sorted_without_the_unreliable(data: Path) -> None:
    assert [clip.name for clip in clips(data, "train")] == ["t_a", "t_b", "t_c"]


def test_only_permissive_clips_may_make_weights(data: Path) -> None:
    chosen = clips(data, "train", permissive=True)
    assert [clip.name for clip in chosen] == ["t_b", "t_c"]
    assert {clip.licence for clip in chosen} <= PERMISSIVE


def test_short_clips_can_be_left_out_and_rates_are_exact(data: Path) -> None:
    (clip,) = clips(data, "train", permissive=True, seconds=4)
    assert clip.rate == Fraction(2997, 100)


def test_no_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^expected .*manifest\.tsv, found none"):
        clips(tmp_path, "train")


def test_people_are_counted_once(data: Path) -> None:
    assert [clip.name for clip in one_a_person(clips(data, "train"), 9)] == ["t_a", "t_c"]


@pytest.mark.parametrize(("shape", "side"), [((300, 400), 256), ((256, 256), 256), ((90, 64), 256)])
def test_the_canvas_is_the_centre_square(shape: tuple[int, int], side: int) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 255
    out = canvas(picture, side)
    assert out.shape == (side, side, 3)
    assert out[side // 2 - 3 : side // 2 + 4, side // 2 - 3 : side // 2 + 4].max() > 40


def test_recorded_landmarks_are_repeated_with_their_gaps(data: Path, tmp_path: Path) -> None:
    clip = clips(data, "val")[0]
    landmarks = np.random.default_rng(0).uniform(0, 300, (3, 478, 3)).astype(np.float32)
    np.savez(tmp_path / "v_a.npz", landmarks=landmarks, found=[True, False, True], size=(320, 256))
    labels = load_labels(tmp_path, clip)
    assert np.allclose(labels.on_canvas()[0], landmarks[0] - (32, 0, 0))
    tracker = RecordedTracker(labels)
    picture = np.zeros((256, 320, 3), np.uint8)
    seen = [tracker.track(picture, index / 25) for index in range(4)]
    assert [s is not None for s in seen] == [True, False, True, False]
    assert seen[2] is not None
    assert np.array_equal(seen[2].landmarks, landmarks[2])


def test_a_clip_without_labels_names_the_command(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.label"):
        load_labels(tmp_path, clips(data, "val")[0])


@pytest.mark.parametrize(("name", "expected"), [(None, "unsmoothed"), ("builtin", "builtin")])
def test_a_clip_is_labelled_by_the_tracker_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, expected: str
) -> None:
    clip = clips(data, "val")[0]
    shown = [np.full((8, 16, 3), level, np.uint8) for level in (0, 90, 0)]
    used: list[str] = []

    class SeesBright:
        def __init__(self, name: str = "unsmoothed") -> None:
            used.append(name)

        def track(self, picture: U8, time: float) -> FaceObservation | None:
            marks = np.full((478, 3), time, np.float32)
            return observation(marks, 16, 8) if picture.any() else None

        def close(self) -> None:
            used.append("closed")

    monkeypatch.setattr("training.label.pictures", lambda _: shown)
    monkeypatch.setattr("training.label.UnsmoothedTeacher", SeesBright)
    monkeypatch.setattr("training.label.open_tracker", SeesBright)
    label(clip, tmp_path / "v_a.npz", name)
    assert used == [expected, "closed"]
    labels = load_labels(tmp_path, clip)
    assert labels.found.tolist() == [False, True, False]
    assert np.allclose(labels.landmarks[1], float(1 / clip.rate))
