# SPDX-License-Identifier: Apache-2.0
"""From 68 points to 478: against landmarks of a real face."""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec.face.expand import IBUG_TO_DENSE, expand_sparse
from talkcodec.media.sources import Track
from talkcodec.motion.landmarks import IRISES, inter_ocular
from talkcodec.types import F64
from talkcodec.weights import shape_model


@pytest.fixture(scope="module")
def dense() -> F64:
    return Track.load().portrait


def test_the_mapping_is_one_to_one_and_has_no_irises() -> None:
    assert len(IBUG_TO_DENSE) == len(set(IBUG_TO_DENSE)) == 68
    assert not set(IBUG_TO_DENSE) & set(IRISES)


def test_a_real_face_is_rebuilt_from_its_68_points(dense: F64) -> None:
    rebuilt = expand_sparse(dense[list(IBUG_TO_DENSE), :2], shape_model())
    unit = float(inter_ocular(dense))
    error = np.linalg.norm(rebuilt[:, :2] - dense[:, :2], axis=1) / unit
    assert rebuilt.dtype == np.float32
    assert error.mean() < 0.022  # the bases are of another tracker's landmarks
    assert error.max() < 0.12
    depth = (rebuilt[:, 2] - rebuilt[:, 2].mean()) - (dense[:, 2] - dense[:, 2].mean())
    assert np.abs(depth).mean() / unit < 0.08


def test_noise_of_the_points_is_not_amplified(dense: F64) -> None:
    unit = float(inter_ocular(dense))
    clean = dense[list(IBUG_TO_DENSE), :2]
    noisy = clean + np.random.default_rng(3).normal(0, 0.02 * unit, clean.shape)
    rebuilt = expand_sparse(noisy, shape_model())
    error = np.linalg.norm(rebuilt[:, :2] - dense[:, :2], axis=1) / unit
    assert error.mean() < 0.03


def test_it_commutes_with_moving_turning_and_scaling_the_picture(dense: F64) -> None:
    model, angle = shape_model(), 0.5
    points = dense[list(IBUG_TO_DENSE), :2]
    turn = 2.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before = expand_sparse(points, model)[:, :2] @ turn.T + (40, -70)
    after = expand_sparse(points @ turn.T + (40, -70), model)[:, :2]
    assert np.abs(before - after).max() < 1e-2
