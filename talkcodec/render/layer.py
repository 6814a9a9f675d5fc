# SPDX-License-Identifier: Apache-2.0
"""Motion beyond the face: a few numbers a group that bend the picture outside the face oval.

The landmarks say nothing of shoulders, hair and camera shake, where most of the visible error
lies. The layer is a smooth residual flow, added to the landmark flow with a weight that is 0
inside the face and 1 outside. Mode 1 is an affine map (6 values); modes 2 to 4 are the lowest
frequencies of a two-dimensional cosine series (4×4, 6×6, 8×8 per component), which packs
smooth motion into few non-zero values. Values are integers in ``LAYER_STEP`` canvas units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import cv2
import numpy as np

from talkcodec.render.field import layered, rim_distance
from talkcodec.types import F32, F64, I32

#: Canvas units of root-mean-square displacement that one quantiser step stands for.
LAYER_STEP = 0.5
#: Side of the cosine series per mode; modes 0 (off) and 1 (affine) have none.
GRID_SIDE = {2: 4, 3: 6, 4: 8}
MODES = (0, 1, 2, 3, 4)
AFFINE = 1
#: The mode that bends hair and shoulders while what is behind them stays: a camera that stands.
#: The others bend all that is beyond the face, for a camera that moves.
PERSON = 2


def value_count(mode: int) -> int:
    """Return how many integers a layer of ``mode`` has."""
    if mode == 0:
        return 0
    return 6 if mode == 1 else 2 * GRID_SIDE[mode] ** 2


@cache
def basis(mode: int, side: int) -> F32:
    """Return unit-RMS basis functions over a ``side``² grid: float32 (side·side, n).

    One component (x or y) of the flow is ``basis @ values``; n is half of ``value_count``.
    """
    position = (np.arange(side) + 0.5) / side
    if mode == 1:
        columns = [np.ones((side, side))]
        columns += [np.broadcast_to(position * 2 - 1, (side, side)) * np.sqrt(3)]
        columns += [columns[1].T]
        return np.stack([c.reshape(-1) for c in columns], 1).astype(np.float32)
    waves = _waves(GRID_SIDE[mode], side)
    products = np.einsum("ai,bj->ijab", waves, waves)
    return np.asarray(products.reshape(side * side, -1), np.float32)


@cache
def _waves(count: int, side: int) -> F32:
    """Return the lowest cosines of unit RMS over ``side`` points: float32 (count, side)."""
    position = (np.arange(side) + 0.5) / side
    waves = np.cos(np.pi * np.arange(count)[:, None] * position[None, :])
    waves[1:] *= np.sqrt(2)
    return np.asarray(waves, np.float32)


def layer_flow(mode: int, values: I32 | F32, side: int) -> F32:
    """Return the layer's flow (side, side, 2) in canvas units; x values come first."""
    if mode == 0:
        return np.zeros((side, side, 2), np.float32)
    parts = np.asarray(values, np.float32).reshape(2, -1) * LAYER_STEP
    if mode == AFFINE:
        return np.asarray((basis(mode, side) @ parts.T).reshape(side, side, 2), np.float32)
    count = GRID_SIDE[mode]
    waves = _waves(count, side)
    # A product of one dimension's waves: far less work.
    planes = [waves.T @ part.reshape(count, count) @ waves for part in parts]
    return np.asarray(cv2.merge(planes), np.float32)


def bent(flow: F32, layers: Iterable[tuple[int, F32]], outside: F32) -> F32:
    """Return ``flow`` (n, n, 2), canvas units, with ``layers`` beyond the face.

    ``layers``: modes and values. ``outside``: ``outside_weight`` (n, n).
    """
    bends = [layer_flow(mode, values, flow.shape[0]) for mode, values in layers]
    if not bends:
        return flow
    return np.asarray(flow + sum(bends) * layered(outside), np.float32)


def stays(layers: Sequence[tuple[int, object]]) -> bool:
    """Return whether what is behind the person stays where it is under ``layers``, newest first."""
    return not layers or layers[0][0] == PERSON


def outside_weight(target: F64, side: int) -> F32:
    """Return where the layer acts: 0 on the face, 1 beyond a tenth of its height (side, side)."""
    return np.asarray(np.clip(rim_distance(target, side) / 0.10, 0, 1), np.float32)


def fit_layer(residual: F32, weight: F32, mode: int, ridge: float = 0.02) -> I32:
    """Fit a layer of ``mode`` to a measured residual flow by weighted least squares.

    ``residual``: float32 (n, n, 2), canvas units; ``weight``: float32 (n, n) ≥ 0, confidence.
    ``ridge`` pulls values towards 0 where nothing was measured. Returns int32 values.
    """
    side = residual.shape[0]
    functions = basis(mode, side)
    flat = weight.reshape(-1, 1)
    weighted = functions * flat
    normal = functions.T @ weighted
    normal[np.diag_indices_from(normal)] += ridge * side * side
    right = weighted.T @ residual.reshape(-1, 2)
    solution = np.linalg.solve(normal, right)
    return np.asarray(np.rint(solution.T.reshape(-1) / LAYER_STEP), np.int32)
