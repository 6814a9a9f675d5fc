# SPDX-License-Identifier: Apache-2.0
"""Poses invert, states explain the landmarks they made, identity is small and bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from talkcodec import weights
from talkcodec.errors import WeightsError
from talkcodec.motion.fit import IDENTITY_LIMIT, fit_identity, fit_state, neutral_shape
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS, inter_ocular
from talkcodec.motion.shape import GAZE, ShapeModel, fit_pose, rotation_matrix, rotation_vector
from talkcodec.types import F64

MODEL = weights.shape_model()
small = st.floats(-0.8, 0.8)


def make_state(seed: int) -> F64:
    """A plausible state: some turn, some expression, some gaze."""
    rng = np.random.default_rng(seed)
    state = rng.normal(0, 8, MODEL.dimension) * MODEL.steps
    state[3:5] += (128, 130)
    state[5] += np.log(52)
    return np.asarray(state, np.float64)


@given(st.tuples(small, small, small))
def test_rotation_vectors_survive_the_matrix(vector: tuple[float, float, float]) -> None:
    matrix = rotation_matrix(np.array(vector))
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.allclose(rotation_vector(matrix), vector, atol=1e-7)


@given(st.tuples(small, small, small), st.floats(0.2, 90), st.integers(0, 99))
def test_a_pose_is_found_exactly(
    vector: tuple[float, float, float], scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rotation, translation = rotation_matrix(np.array(vector)), rng.normal(0, 40, 3)
    moved = scale * MODEL.mean @ rotation.T + translation
    found_scale, found_rotation, found_translation = fit_pose(MODEL.mean, moved, MODEL.rigidity)
    assert found_scale == pytest.approx(scale)
    assert np.allclose(found_rotation, rotation, atol=1e-9)
    assert np.allclose(found_translation, translation, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_a_fitted_state_draws_the_landmarks_it_was_fitted_to(seed: int) -> None:
    neutral = neutral_shape(MODEL, (0,) * len(MODEL.identity_steps))
    landmarks = MODEL.expand(neutral, make_state(seed))
    again = MODEL.expand(neutral, fit_state(MODEL, neutral, landmarks))
    error = np.linalg.norm((again - landmarks)[:, :2], axis=1) / inter_ocular(landmarks)
    # Pose and expression trade a little: the pose is fitted to landmarks that both move.
    assert error.mean() < 0.01
    assert error[list(LIPS + EYELIDS + IRISES)].mean() < 0.01


def test_gaze_moves_the_irises_and_nothing_else() -> None:
    neutral = neutral_shape(MODEL, (0,) * len(MODEL.identity_steps))
    state = make_state(1)
    looked = state.copy()
    looked[GAZE][0] += 0.05
    moved = np.abs(MODEL.expand(neutral, looked) - MODEL.expand(neutral, state)).max(1) > 1e-9
    assert set(np.flatnonzero(moved).tolist()) == set(IRISES)


def test_identity_is_recovered_within_its_steps() -> None:
    rng = np.random.default_rng(3)
    identity = rng.integers(-20, 20, len(MODEL.identity_steps)).astype(np.int32)
    shape = neutral_shape(MODEL, identity)
    state = np.zeros(MODEL.dimension)
    state[3:6] = (128, 128, np.log(50))
    found = neutral_shape(MODEL, fit_identity(MODEL, MODEL.place(shape, state)))
    assert np.abs(found - shape)[:, :2].mean() < 0.01


def test_identity_of_anything_stays_within_its_bound() -> None:
    odd = MODEL.mean * np.array([400.0, -3.0, 9.0]) + 7
    assert np.abs(fit_identity(MODEL, odd)).max() <= IDENTITY_LIMIT


def test_a_model_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    MODEL.save(file)
    assert np.allclose(ShapeModel.load(file).expression, MODEL.expression)


@pytest.mark.parametrize("damage", ["missing", "shape"])
def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "m.safetensors"
    MODEL.save(file)
    tensors = load_file(file)
    if damage == "missing":
        del tensors["steps"]
    else:
        tensors["steps"] = tensors["steps"][:-1]
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"^m\.safetensors: expected .*$"):
        ShapeModel.load(file)
