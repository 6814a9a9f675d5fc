# SPDX-License-Identifier: Apache-2.0
"""The encoder notices staged failures in time, and sees none where there is none."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path as Folder

import cv2
import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.face import open_tracker
from talkcodec.face.tracker import FollowingTracker
from talkcodec.media.sources import builtin_source
from talkcodec.types import Packet
from training.corpus import DATA, clips
from training.failures.__main__ import material, untouched
from training.failures.compose import KINDS, Staged, Take, stage, take
from training.failures.measure import Path, run
from training.failures.report import CleanResult, SceneResult, summary, table
from training.failures.sheet import Sheet

needs_clips = pytest.mark.skipif(
    not (DATA / "manifest.tsv").is_file(), reason="research clips do not travel with the project"
)


@cache
def tracker() -> FollowingTracker:
    return open_tracker()


@cache
def portrait() -> Take:
    frames = list(builtin_source(2.0))
    made = take("portrait", [f.picture for f in frames], 1 / frames[0].time_base, tracker())
    assert made is not None
    return made


@cache
def somebody_else() -> Take:
    """The portrait mirrored, broader, and in other colours: as far as one photograph goes."""
    changed = []
    for picture in portrait().pictures[:30]:
        wide = cv2.resize(picture, (300, 256))[:, 22:278, ::-1]
        changed.append(np.ascontiguousarray(255 - (255 - cv2.flip(wide, 1)) * 0.8).astype(np.uint8))
    made = take("somebody else", changed, portrait().rate, tracker())
    assert made is not None
    return made


def until_after_the_event(scene: Staged) -> Staged:
    count = scene.event + round(0.6 * float(scene.rate))
    return replace(scene, frames=scene.frames[:count])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_staged_failures_end_motion_in_time(kind: str) -> None:
    """One of three may come so that a reference shows it before it looks wrong, or a look late."""
    in_time = []
    for seed in (3, 4, 5):
        scene = until_after_the_event(stage(kind, portrait(), somebody_else(), seed))
        result = run(scene.source(), scene.rate, tracker())
        found = SceneResult.of(replace(scene, end=None), result)
        assert found.before == 0
        in_time.append(found.late is not None and found.late <= 300)
        assert found.late is None or found.reason != "none"
    assert sum(in_time) >= 2


def test_a_call_comes_back_when_the_hand_has_gone_and_shows_the_face_again() -> None:
    scene = stage("hands", portrait(), somebody_else(), 5)
    last = len(scene.frames) - 5  # of a group that is full
    result = run(scene.source(), scene.rate, tracker(), wanted=[last])
    found = SceneResult.of(scene, result)
    assert found.back is not None
    assert found.back <= 2600
    assert result.steps[-1].mode == "motion"
    assert result.references >= 2  # the first, and the key of the return
    assert result.shown[last].shape == (256, 256, 3)
    difference = cv2.absdiff(result.shown[last], scene.frames[last]).mean()
    assert difference < 12


def test_the_portrait_as_it_is_stays_in_motion() -> None:
    frames = [portrait().at(index)[0] for index in range(100)]
    calm = Staged("portrait", "clean", frames, portrait().rate, 0, 0, None)
    result = run(calm.source(), calm.rate, tracker())
    assert result.video_frames == 0
    assert not any(step.struggling for step in result.steps)


@needs_clips
def test_val_clips_as_they_are_stay_in_motion() -> None:
    for clip in [clip for clip in clips(DATA, "val") if clip.seconds < 1.6][::8]:
        assert untouched(clip, tracker()).video_seconds == 0


@needs_clips
def test_hands_over_a_face_of_the_val_split_are_noticed_in_time() -> None:
    first, second = clips(DATA, "val", seconds=3)[:5:4]
    one, other = material(first, tracker()), material(second, tracker())
    assert one is not None
    assert other is not None
    scene = until_after_the_event(stage("hand", one, other, 1))
    found = SceneResult.of(replace(scene, end=None), run(scene.source(), scene.rate, tracker()))
    assert found.late is not None
    assert found.late <= 300


def test_the_same_seed_stages_the_same_scene() -> None:
    one, two = (stage("hand", portrait(), somebody_else(), 2) for _ in range(2))
    assert one.event == two.event > one.start
    at = one.event + 5
    np.testing.assert_array_equal(one.frames[at], two.frames[at])
    other = stage("hand", portrait(), somebody_else(), 4)
    assert not np.array_equal(one.frames[at], other.frames[at])


def test_frames_before_and_after_are_untouched() -> None:
    scene = stage("held up", portrait(), somebody_else(), 2)
    assert scene.end is not None
    for index in (0, scene.start - 1, scene.end, len(scene.frames) - 1):
        np.testing.assert_array_equal(scene.frames[index], portrait().at(index)[0])


def test_a_clip_without_a_face_is_no_material() -> None:
    grey = [np.full((128, 128, 3), 128, np.uint8)] * 5
    assert take("grey", grey, portrait().rate, tracker()) is None


def test_references_travel_one_after_the_other() -> None:
    path, packet = Path(), Packet("reference", bytes(750), 0)  # 0.1 s each at 60 kbit/s
    path.send(packet, 0.0)
    path.send(packet, 0.0)
    assert path.arrived(0.19) == []
    assert len(path.arrived(0.25)) == 1
    assert len(path.arrived(0.35)) == 1


def test_the_report_counts_what_was_missed_late_and_false() -> None:
    scenes = [
        SceneResult("a", "hand", 40.0, 900.0, "hidden_face", 0, 0),
        SceneResult("b", "hand", -80.0, None, "hidden_face", 0, 0),
        SceneResult("c", "hand", 480.0, 700.0, "covered", 2, 1),
        SceneResult("d", "hand", None, None, "none", 0, 0),
    ]
    clean = [
        CleanResult("a", 9.0, 0.0, 0.5, 0, 2, 4000, {}),
        CleanResult("b", 1.0, 0.1, 0.0, 1, 3, 6000, {"hidden_face": 3}),
    ]
    content = summary("val", scenes, clean)
    row = content["kinds"]["hand"]
    assert (row["scenes"], row["missed"], row["within_aim"]) == (4, 1, 2)
    assert (row["video_before"], row["further_switches"]) == (1, 1)
    assert row["late_ms"]["max"] == 480
    assert content["clean"]["video_share"] == pytest.approx(0.01)
    assert content["clean"]["switches"] == 1
    assert [c["clip"] for c in content["clean"]["clips_with_video"]] == ["b"]
    assert "video 1.00 %" in table(content)


def test_the_sheet_shows_what_was_seen_and_what_was_shown(tmp_path: Folder) -> None:
    scene = until_after_the_event(stage("dark", portrait(), somebody_else(), 1))
    sheet = Sheet()
    result = run(scene.source(), scene.rate, tracker(), wanted=sheet.frames(scene))
    sheet.add(scene, result)
    sheet.write(tmp_path / "sheet.png")
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture is not None
    assert picture.shape == (2 * 144, 10 * 144, 3)


def test_without_clips_the_study_says_so(tmp_path: Folder) -> None:
    with pytest.raises(InputError, match="clips do not travel with the project"):
        clips(tmp_path, "val")
