# SPDX-License-Identifier: Apache-2.0
"""The drive shows where mouth and eyes are, to parts of a pixel, wherever landmarks lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.media.sources import Track
from talkcodec.motion.landmarks import LIPS_INNER
from talkcodec.render.drive import DRIVE_SIDE, drive
from talkcodec.types import F64


@pytest.fixture
def portrait() -> F64:
    return np.asarray(Track.load().portrait, np.float64)


def test_channels_lie_within_one_another(portrait: F64) -> None:
    mouth, lips, eyes, irises, face = drive(portrait).astype(int)
    for inner, outer in ((mouth, lips), (irises, eyes), (lips, face), (eyes, face)):
        assert ((inner > 200) <= (outer > 60)).all()
        assert 0 < (inner > 127).sum() < (outer > 127).sum()
    column = np.nonzero(face > 127)[1].mean()
    assert column == pytest.approx(portrait[:, 0].mean() / 2, abs=4)


def test_a_mouth_that_opens_by_less_than_a_pixel_is_seen(portrait: F64) -> None:
    wider = portrait.copy()
    lower = [index for index in LIPS_INNER if portrait[index, 1] > portrait[13, 1] + 0.5]
    wider[lower, 1] += 1.0  # half a pixel of the drive
    before, after = (drive(p)[0].astype(int).sum() for p in (portrait, wider))
    assert after > before


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e5))
def test_any_landmarks_give_a_drive(shift: float, scale: float) -> None:
    landmarks = np.asarray(Track.load().portrait, np.float64) * scale + shift
    out = drive(landmarks)
    assert out.shape == (5, DRIVE_SIDE, DRIVE_SIDE)
    assert out.dtype == np.uint8
