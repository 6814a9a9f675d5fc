# SPDX-License-Identifier: Apache-2.0
"""The built-in source: a moving face, the same every time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from talkcodec.errors import InputError, WeightsError
from talkcodec.face import open_tracker
from talkcodec.media.camera import Camera, has_camera
from talkcodec.media.sources import NOISE, Track, builtin_source, portrait_picture
from talkcodec.motion.landmarks import LEFT_LID_GAP, LIP_GAP, inter_ocular, opening
from talkcodec.weights import shape_model


def test_it_lasts_as_long_as_asked_and_keeps_time() -> None:
    frames = list(builtin_source(0.4))
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(10)]
    assert {frame.picture.shape for frame in frames} == {(256, 256, 3)}


def test_it_is_the_same_every_time_and_never_quite_still() -> None:
    one, other = (list(builtin_source(0.12)) for _ in range(2))
    assert all((a.picture == b.picture).all() for a, b in zip(one, other, strict=True))
    corner = np.s_[:40, :40]
    change = one[1].picture[corner].astype(float) - one[0].picture[corner]
    assert change.std() == pytest.approx(NOISE * 2**0.5, rel=0.25)


def test_a_tracker_sees_the_recorded_motion() -> None:
    """Head, lips and lids of the drawn face move, and as far as a talking person's do."""
    found = []
    with open_tracker() as tracker:
        for index, frame in enumerate(builtin_source(7.9)):
            if index % 3 == 0:
                face = tracker.track(frame.picture, float(frame.time))
                assert face is not None
                found.append(face.landmarks)
    landmarks = np.stack(found)
    unit = float(inter_ocular(landmarks).mean())
    nose = landmarks[:, 4, :2]
    assert 0.1 < float(np.ptp(nose[:, 0])) / unit < 1.0
    assert float(np.ptp(opening(landmarks, LIP_GAP))) > 0.05
    assert float(np.ptp(opening(landmarks, LEFT_LID_GAP))) > 0.05


def test_the_track_runs_forwards_and_backwards_without_a_jump() -> None:
    track = Track.load()
    states = track.states(shape_model(), 50.0)
    steps = np.abs(np.diff(states[:, 3:5], axis=0)).max()
    assert len(states) == len(track.pose) >= 150
    assert steps < 6.0  # canvas units between neighbours


def test_larger_pictures_show_the_same() -> None:
    small, large = portrait_picture(), portrait_picture(512)
    assert large.shape == (512, 512, 3)
    halved = large.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small).mean() < 2.0


def test_a_missing_or_wrong_track_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="found none"):
        Track.load(tmp_path / "none.safetensors")
    names = ("pose", "weights", "modes", "portrait")
    path = tmp_path / "bad.safetensors"
    save_file({name: np.zeros((3, 6), np.float16) for name in names}, path, {"rate": "25"})
    with pytest.raises(WeightsError, match="expected shapes"):
        Track.load(path)


def test_a_camera_that_is_not_there_is_refused_in_one_line() -> None:
    assert not has_camera(63)
    with pytest.raises(InputError, match="expected a camera at index 63, found none"):
        Camera(63)
