# SPDX-License-Identifier: Apache-2.0
"""The linear face shape: identity and expression in a canonical pose.

Landmarks are explained as ``scale · R · (neutral + expression) + translation`` under a weak
perspective camera (Blanz & Vetter 1999 with the camera of the dense trackers). Shapes are
measured in inter-ocular distances of the mean face, pictures in canvas units (256 a side).
The bases are fitted by ``python -m training.fit_motion``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from talkcodec.errors import WeightsError
from talkcodec.motion.landmarks import IRISES, LEFT_IRIS, RIGHT_IRIS
from talkcodec.types import F64, LANDMARKS

POSE = slice(0, 6)  # rotation vector (3, rad), translation (2, canvas units), log scale
GAZE = slice(6, 10)  # mean of both irises (x, y), half their difference (x, y)
EXPRESSION_START = 10

#: Bounds on what a stream can make us draw: log of scale, and canvas units from the origin.
MAX_LOG_SCALE, MAX_PLACE = 7.0, 2048.0


@dataclass(frozen=True)
class ShapeModel:
    """Bases and quantiser steps, all float64.

    ``mean`` (478, 3); ``identity`` (I, 478, 3) and ``identity_project`` (I, 1434);
    ``expression`` (K, 478, 3) and ``expression_project`` (K, 1434); ``rigidity`` (478,), the
    weight of each landmark in the pose fit; ``steps`` (10 + K,) and ``identity_steps`` (I,):
    the finest quantiser step of each component.
    """

    mean: F64
    identity: F64
    identity_project: F64
    expression: F64
    expression_project: F64
    rigidity: F64
    steps: F64
    identity_steps: F64

    @property
    def dimension(self) -> int:
        """Number of components D of a motion state."""
        return EXPRESSION_START + len(self.expression)

    @cached_property
    def _identity_flat(self) -> F64:
        return self.identity.reshape(len(self.identity), -1)

    @cached_property
    def _expression_flat(self) -> F64:
        return self.expression.reshape(len(self.expression), -1)

    def neutral(self, identity: F64) -> F64:
        """Return the expressionless shape (478, 3) of identity coefficients (I,)."""
        return self.mean + (identity @ self._identity_flat).reshape(LANDMARKS, 3)

    def deform(self, neutral: F64, state: F64) -> F64:
        """Return the canonical shape (478, 3) of ``state`` (D,): expression and gaze applied."""
        moved = (state[EXPRESSION_START:] @ self._expression_flat).reshape(LANDMARKS, 3)
        shape = np.asarray(neutral + moved, dtype=np.float64)
        mean, half = state[GAZE][:2], state[GAZE][2:]
        shape[list(RIGHT_IRIS), :2] += mean - half
        shape[list(LEFT_IRIS), :2] += mean + half
        return shape

    def expand(self, neutral: F64, state: F64) -> F64:
        """Return the landmarks (478, 3) in canvas units that ``state`` (D,) describes."""
        return self.place(self.deform(neutral, state), state)

    def place(self, shape: F64, state: F64) -> F64:
        """Apply the pose of ``state`` (D,) to a canonical ``shape`` (N, 3)."""
        placed = np.exp(min(state[5], MAX_LOG_SCALE)) * (shape @ rotation_matrix(state[0:3]).T)
        placed[:, :2] += state[3:5]
        # A hostile stream may say anything; a face is never further out than this.
        return np.asarray(np.clip(placed, -MAX_PLACE, MAX_PLACE), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write as safetensors, float32."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in fields.items()}, path)

    @classmethod
    def load(cls, path: Path) -> ShapeModel:
        """Read what ``save`` wrote.

        Raises:
            WeightsError: a tensor is missing, unknown or has another shape.
        """
        tensors = load_file(path)
        expected = set(cls.__dataclass_fields__)
        if set(tensors) != expected:
            raise WeightsError(f"{path.name}: expected {sorted(expected)}, found {sorted(tensors)}")
        model = cls(**{name: value.astype(np.float64) for name, value in tensors.items()})
        if model.mean.shape != (LANDMARKS, 3) or model.steps.shape != (model.dimension,):
            raise WeightsError(f"{path.name}: expected a mean of (478, 3) and a step per component")
        return model


def look(state: F64) -> F64:
    """Return the way that the face of ``state`` (D,) looks: a unit vector (3,)."""
    return rotation_matrix(state[0:3])[:, 2]


def turned(first: F64, second: F64) -> float:
    """Return the angle, radians, between two ways that faces look: of ``look``.

    In the picture's plane faces may be turned as they like.
    """
    return float(np.arccos(np.clip(first @ second, -1, 1)))


def rotation_matrix(vector: F64) -> F64:
    """Return the rotation (3, 3) about ``vector`` (3,) by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(
        np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross), dtype=np.float64
    )


def rotation_vector(matrix: F64) -> F64:
    """Invert ``rotation_matrix`` for angles below π; a face never turns further."""
    cosine = np.clip((np.trace(matrix) - 1) / 2, -1.0, 1.0)
    axis = np.array(
        [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    )
    sine = np.linalg.norm(axis) / 2
    if sine < 1e-9:
        return np.zeros(3)
    return np.asarray(axis / (2 * sine) * np.arctan2(sine, cosine), dtype=np.float64)


def fit_pose(shape: F64, landmarks: F64, weights: F64) -> tuple[float, F64, F64]:
    """Fit ``landmarks ≈ scale · R · shape + translation`` by weighted least squares.

    Umeyama 1991, closed form. ``shape``, ``landmarks``: (N, 3); ``weights``: (N,) ≥ 0.
    Returns scale, R (3, 3) and translation (3,).
    """
    share = (weights / weights.sum())[:, None]
    shape_mean = (share * shape).sum(0)
    landmark_mean = (share * landmarks).sum(0)
    centred = shape - shape_mean
    covariance = (share * (landmarks - landmark_mean)).T @ centred
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((singular * sign).sum() / max(float((share * centred**2).sum()), 1e-9))
    return scale, rotation, landmark_mean - scale * rotation @ shape_mean


def iris_free_rigidity(weights: F64) -> F64:
    """Return ``weights`` with the irises taken out: eyes roll while the head stays."""
    out = weights.copy()
    out[list(IRISES)] = 0.0
    return out
