# SPDX-License-Identifier: Apache-2.0
"""From 68 sparse landmarks to the 478 of a dense observation.

Trackers in the iBUG 68-point scheme give too few points for a motion state. The linear face shape
supplies the rest: pose, identity and expression are fitted to the 68 points, and the fitted shape
is read at all 478. Depth comes from the shape too, so two coordinates are enough. Irises stay in
the middle of their eyes: 68 points say nothing about gaze.
"""

from __future__ import annotations

import numpy as np

from talkcodec.motion.shape import ShapeModel
from talkcodec.types import F32, F64

#: The dense landmark at each of the 68 iBUG points: jaw (17, from the subject's right), brows (5
#: and 5), nose bridge (4), nostrils (5), eyes (6 and 6), outer lips (12), inner lips (8).
IBUG_TO_DENSE = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip

_ROUNDS = 4
#: Ridge on the coefficients, in mean squared inter-ocular distances: 68 points cannot fix 64
#: coefficients, so unlikely faces must cost something.
_RIDGE = 0.03


def expand_sparse(points: F64, model: ShapeModel) -> F32:
    """Return the dense landmarks, float32 (478, 3) in pixels, that explain sparse ones best.

    ``points``: float64 (68, 2 or more) in pixels, iBUG order; only x and y are used.
    """
    target = points[:, :2]
    basis = np.concatenate([model.identity, model.expression])
    sparse = basis[:, IBUG_TO_DENSE]
    coefficients = np.zeros(len(basis))
    for _ in range(_ROUNDS):
        shape = model.mean + np.tensordot(coefficients, basis, 1)
        scale, rotation = _fit_camera(shape[list(IBUG_TO_DENSE)], target)
        coefficients = _fit_coefficients(model, sparse, target, scale, rotation)
    shape = model.mean + np.tensordot(coefficients, basis, 1)
    scale, rotation = _fit_camera(shape[list(IBUG_TO_DENSE)], target)
    placed = scale * shape @ rotation.T
    placed[:, :2] += (target - placed[list(IBUG_TO_DENSE), :2]).mean(0)
    return placed.astype(np.float32)


def _fit_camera(shape: F64, target: F64) -> tuple[float, F64]:
    """Fit scale and rotation (3, 3) of a weak perspective camera: ``target ≈ s · R[:2] · shape``.

    The affine least-squares camera is solved first and then made orthonormal, which is exact for
    noise-free points and needs no start value.
    """
    centred = shape - shape.mean(0)
    affine = np.linalg.lstsq(centred, target - target.mean(0), rcond=None)[0].T
    u, singular, vt = np.linalg.svd(affine, full_matrices=False)
    rows = u @ vt
    rotation = np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])])
    return float(singular.mean()), rotation


def _fit_coefficients(
    model: ShapeModel, sparse: F64, target: F64, scale: float, rotation: F64
) -> F64:
    """Fit identity and expression (I + K,) under a fixed camera, by ridge regression.

    ``sparse``: the bases at the 68 points, (I + K, 68, 3).
    """
    camera = rotation[:2]
    projected = (sparse - sparse.mean(1, keepdims=True)) @ camera.T
    mean = model.mean[list(IBUG_TO_DENSE)]
    residual = (target - target.mean(0)) / scale - (mean - mean.mean(0)) @ camera.T
    design = projected.reshape(len(sparse), -1).T
    # A coefficient's cost is the movement it would make over the whole dense face.
    whole = np.concatenate([model.identity, model.expression])
    energy = (whole**2).sum((1, 2)) / whole.shape[1]
    normal = design.T @ design / len(target) + _RIDGE * np.diag(energy)
    return np.asarray(
        np.linalg.solve(normal, design.T @ residual.ravel() / len(target)), dtype=np.float64
    )
