# SPDX-License-Identifier: Apache-2.0
"""The layer explains smooth motion; the meter measures it; the error map is an SSIM."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcodec import weights
from talkcodec.render.field import rim_distance
from talkcodec.render.layer import (
    LAYER_STEP,
    MODES,
    basis,
    bent,
    fit_layer,
    layer_flow,
    outside_weight,
    value_count,
)
from talkcodec.render.measure import (
    MEASURE_SIDE,
    FlowMeter,
    error_map,
    small_luma,
    torn,
    warp_luma,
)
from talkcodec.types import CANVAS, F32, U8

MODEL = weights.shape_model()


def texture(seed: int = 0) -> U8:
    noise = np.random.default_rng(seed).normal(0, 1, (MEASURE_SIDE, MEASURE_SIDE))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray(np.clip(128 + 300 * smooth, 0, 255), np.uint8)


@pytest.mark.parametrize("mode", MODES[1:])
def test_basis_functions_have_unit_power_and_do_not_overlap(mode: int) -> None:
    functions = basis(mode, 32)
    assert functions.shape == (32 * 32, value_count(mode) // 2)
    gram = functions.T @ functions / len(functions)
    assert np.allclose(gram, np.eye(len(gram)), atol=0.02)


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_layer_is_fitted_back_from_its_own_flow(mode: int) -> None:
    rng = np.random.default_rng(mode)
    values = rng.integers(-4, 5, value_count(mode)).astype(np.int32)
    flow = layer_flow(mode, values, 32)
    found = fit_layer(flow, np.ones((32, 32), np.float32), mode, ridge=1e-6)
    assert np.array_equal(found, values)


def test_where_nothing_was_measured_the_layer_is_still() -> None:
    flow = np.full((32, 32, 2), 9.0, np.float32)
    assert not fit_layer(flow, np.zeros((32, 32), np.float32), 3).any()


def test_layers_bend_what_lies_beyond_the_face_and_nothing_else() -> None:
    state = np.zeros(MODEL.dimension)
    state[3:6] = (128, 128, np.log(52))
    landmarks, flow = MODEL.expand(MODEL.mean, state), np.ones((64, 64, 2), np.float32)
    values = np.zeros(6, np.float32)
    values[0], values[3] = 8, -4
    weight = outside_weight(landmarks, 64)
    once, twice = (bent(flow, [(1, values)] * count, weight) for count in (1, 2))
    outside = rim_distance(landmarks, 64) > 0.1
    assert np.allclose(once[outside], (1 + 8 * LAYER_STEP, 1 - 4 * LAYER_STEP))
    assert np.allclose(twice[outside], (1 + 16 * LAYER_STEP, 1 - 8 * LAYER_STEP))
    assert np.allclose(once[rim_distance(landmarks, 64) == 0], 1)
    assert np.array_equal(bent(flow, [], weight), flow)


def test_off_is_no_motion() -> None:
    assert not layer_flow(0, np.zeros(0, np.int32), 16).any()
    assert value_count(0) == 0


def test_the_meter_finds_a_shift_that_the_flow_did_not_know() -> None:
    reference = texture()
    known = np.zeros((MEASURE_SIDE, MEASURE_SIDE, 2), np.float32)
    true = np.full_like(known, 4.0)  # canvas units: two pixels here
    residual, confidence = FlowMeter().residual(reference, warp_luma(reference, true), known)
    inner = np.s_[6:-6, 6:-6]
    assert np.median(residual[inner][..., 0]) == pytest.approx(4.0, abs=LAYER_STEP)
    assert np.median(residual[inner][..., 1]) == pytest.approx(4.0, abs=LAYER_STEP)
    assert confidence[inner].mean() > 0.2


def test_a_flat_picture_gives_no_confidence() -> None:
    flat = np.full((MEASURE_SIDE, MEASURE_SIDE), 77, np.uint8)
    known = np.zeros((MEASURE_SIDE, MEASURE_SIDE, 2), np.float32)
    _, confidence = FlowMeter().residual(flat, flat, known)
    assert confidence.max() < 1e-3


def test_the_error_is_nought_for_equals_and_grows_with_blur() -> None:
    sharp = texture()
    errors = [
        float(error_map(cv2.GaussianBlur(sharp, (0, 0), s).astype(np.uint8), sharp).mean())
        for s in (0.5, 1.0, 2.0)
    ]
    assert float(np.abs(error_map(sharp, sharp)).max()) < 1e-4
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_small_luma_is_small_and_grey() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[..., 1] = 200
    luma = small_luma(picture)
    assert luma.shape == (MEASURE_SIDE, MEASURE_SIDE)
    assert int(luma[0, 0]) == pytest.approx(0.587 * 200, abs=1)


def stretch(across: float, down: float, side: int = 32) -> F32:
    """Return the flow that draws a picture ``across`` times as wide and ``down`` as high."""
    at = ((np.arange(side, dtype=np.float32) + 0.5) * (CANVAS / side)) - CANVAS / 2
    flow = np.empty((side, side, 2), np.float32)
    flow[..., 0] = (at * (1 / across - 1))[None, :]
    flow[..., 1] = (at * (1 / down - 1))[:, None]
    return flow


def test_a_warp_tears_where_it_stretches_too_far_in_any_direction() -> None:
    assert not torn(stretch(1, 1)).any()
    assert not torn(stretch(2.8, 2.8)).any()
    assert torn(stretch(3.2, 1)).all()
    assert torn(stretch(1, 3.2)).all()
    shear = stretch(1, 1)
    shear[..., 0] = np.arange(32, dtype=np.float32)[:, None] * 8 * 3.0  # a row moves 3 times itself
    assert torn(shear)[:, :16].all()
    assert not torn(shear * 0.2)[:16, :16].any()


def test_what_tears_is_told_by_the_slopes_of_the_flow() -> None:
    random = np.random.default_rng(2)
    coarse = random.normal(0, 14, (9, 9, 2)).astype(np.float32)
    flow = np.asarray(cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC), np.float32)
    at = (np.indices((64, 64)).transpose(1, 2, 0)[..., ::-1] + 0.5) * 4
    across, down = (np.gradient(flow.astype(np.float64), 4, axis=axis) for axis in (1, 0))
    slopes = np.stack([across, down], -1) + np.eye(2)
    smaller = np.linalg.svd(slopes, compute_uv=False)[..., 1]
    far = np.abs(at + flow - 128).max(-1) > 134
    wanted = (smaller < 1 / 3) | (np.linalg.det(slopes) <= 0) | far
    assert 0.05 < wanted.mean() < 0.95
    assert (torn(flow) == wanted).mean() > 0.999


def test_a_warp_that_folds_over_tears() -> None:
    assert torn(stretch(-1, 1)).all()


def test_a_warp_tears_where_it_reaches_beyond_the_picture() -> None:
    shift = np.zeros((32, 32, 2), np.float32)
    shift[..., 1] = 40  # everything rises by 40: the lowest rows show nothing that was seen
    below = np.flatnonzero(torn(shift).any(1))
    assert below.tolist() == list(range(28, 32))  # within the rim's 6 units nothing is said
    assert torn(shift)[28:].all()
