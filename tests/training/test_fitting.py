# SPDX-License-Identifier: Apache-2.0
"""Bases fitted to faces that a known model made explain those faces."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from talkcodec import weights
from talkcodec.motion.landmarks import LIPS_INNER, inter_ocular
from talkcodec.types import F64, LANDMARKS
from training.build_topology import build, wind
from training.fit_motion import Basis, build_model, canonicalise, components, mean_shape
from training.motion_rd import code, measure

MODEL = weights.shape_model()


def faces(count: int, seed: int, *, spread: float = 6.0) -> F64:
    """Random poses and expressions of the shipped model: (count, 478, 3)."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, LANDMARKS, 3))
    for index in range(count):
        state = np.zeros(MODEL.dimension)
        state[0:3] = rng.normal(0, 0.1, 3)
        state[3:6] = (*rng.uniform(100, 150, 2), np.log(rng.uniform(40, 60)))
        state[10:14] = rng.normal(0, spread, 4) * MODEL.steps[10:14]
        out[index] = MODEL.expand(MODEL.mean, state)
    return out


def test_the_mean_of_many_is_the_mean_and_of_unit_size() -> None:
    mean = mean_shape(faces(40, 0))
    assert float(inter_ocular(mean)) == pytest.approx(1.0)
    assert np.abs(canonicalise(MODEL.mean, mean[None])[0] - MODEL.mean).mean() < 0.01


def test_canonicalising_takes_pose_and_scale_away() -> None:
    posed = canonicalise(MODEL.mean, faces(6, 1, spread=0.0))
    assert np.allclose(posed, MODEL.mean, atol=1e-6)


def test_components_span_what_varies() -> None:
    shapes = canonicalise(MODEL.mean, faces(80, 2))
    residual = shapes - shapes.mean(0)
    flat = np.ones((LANDMARKS, 3))
    basis = components(residual, flat, 6)
    scores = residual.reshape(80, -1) @ basis.directions.T
    rebuilt = np.tensordot(scores, basis.shapes, 1)
    assert np.abs(rebuilt - residual).mean() < 0.1 * np.abs(residual).mean()


@pytest.fixture(scope="module")
def bases() -> tuple[F64, Basis, Basis]:
    samples = faces(120, 3)
    mean = mean_shape(samples)
    shapes = canonicalise(mean, samples)
    flat = np.ones((LANDMARKS, 3))
    return mean, components(shapes - mean, flat, 8), components(shapes - shapes.mean(0), flat, 8)


def test_a_finer_step_costs_bytes_and_saves_error(bases: tuple[F64, Basis, Basis]) -> None:
    track = [(Fraction(25), faces(24, 4))]
    rows = [
        measure(build_model(*bases, 6, step), track, track, step, smoothed=False)
        for step in (0.3, 1.2)
    ]
    assert rows[0]["bytes_per_frame"] > rows[1]["bytes_per_frame"]
    assert rows[0]["all"] < rows[1]["all"]


def test_coded_tracks_have_one_intra_frame_a_group(bases: tuple[F64, Basis, Basis]) -> None:
    model = build_model(*bases, 6, 0.4)
    first, others, states, _ = code(model, Fraction(25), faces(10, 5), smoothed=True)
    assert (len(first), len(others), len(states)) == (4, 6, 10)


def test_the_shipped_topology_is_what_the_command_builds() -> None:
    pytest.importorskip("mediapipe")
    built = np.concatenate([build(MODEL.mean)[name] for name in ("skin", "eyes", "mouth")])
    rolled = {tuple(np.roll(t, -int(t.argmin())).tolist()) for t in built}
    shipped = weights.topology().triangles
    assert rolled == {tuple(np.roll(t, -int(t.argmin())).tolist()) for t in shipped}


def test_winding_turns_triangles_the_same_way() -> None:
    points = np.zeros((478, 2))
    points[list(LIPS_INNER[:3])] = [(0, 0), (1, 0), (0, 1)]
    a, b, c = LIPS_INNER[:3]
    turned = wind(np.array([[a, c, b], [a, b, c]], np.int32), points)
    assert turned.tolist() == [[a, b, c], [a, b, c]]
