# SPDX-License-Identifier: Apache-2.0
"""Landmarks to motion state, and the identity that states are relative to."""

from __future__ import annotations

import numpy as np

from talkcodec.motion.landmarks import LEFT_IRIS, RIGHT_IRIS
from talkcodec.motion.shape import (
    EXPRESSION_START,
    GAZE,
    POSE,
    ShapeModel,
    fit_pose,
    rotation_vector,
)
from talkcodec.types import F32, F64, I32

#: Bound on identity coefficients in steps (FORMAT.md section 12).
IDENTITY_LIMIT = 127


def canonical(model: ShapeModel, neutral: F64, landmarks: F64) -> tuple[F64, F64]:
    """Undo the pose: return the shape (478, 3) of ``landmarks`` and its pose (6,)."""
    scale, rotation, translation = fit_pose(neutral, landmarks, model.rigidity)
    shape = (landmarks - translation) @ rotation / scale
    pose = np.concatenate([rotation_vector(rotation), translation[:2], [np.log(scale)]])
    return shape, pose


def fit_identity(model: ShapeModel, landmarks: F32 | F64) -> I32:
    """Return identity coefficients (I,), in steps, of the face with these landmarks (478, 3).

    One picture is enough: whatever expression is mistaken for identity is subtracted again
    when states are fitted against it.
    """
    dense = np.asarray(landmarks, np.float64)
    shape, _ = canonical(model, model.mean, dense)
    coefficients = model.identity_project @ (shape - model.mean).reshape(-1)
    steps = np.rint(coefficients / model.identity_steps)
    return np.asarray(np.clip(steps, -IDENTITY_LIMIT, IDENTITY_LIMIT), np.int32)


def neutral_shape(model: ShapeModel, identity: I32 | tuple[int, ...]) -> F64:
    """Return the neutral shape (478, 3) of coded identity coefficients (I,)."""
    return model.neutral(np.asarray(identity, np.float64) * model.identity_steps)


def fit_state(model: ShapeModel, neutral: F64, landmarks: F32 | F64) -> F64:
    """Return the motion state (D,) that explains ``landmarks`` (478, 3, canvas units)."""
    shape, pose = canonical(model, neutral, np.asarray(landmarks, np.float64))
    state = np.empty(model.dimension)
    state[POSE] = pose
    difference = shape - neutral
    state[EXPRESSION_START:] = model.expression_project @ difference.reshape(-1)
    state[GAZE] = 0.0
    iris = difference - (model.deform(neutral, state) - neutral)
    right = iris[list(RIGHT_IRIS), :2].mean(0)
    left = iris[list(LEFT_IRIS), :2].mean(0)
    state[GAZE] = np.concatenate([(right + left) / 2, (left - right) / 2])
    return state
