# SPDX-License-Identifier: Apache-2.0
"""Noise is stilled; a blink passes at once."""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec.motion.quantise import DEAD_ZONE, quantise, quantise_group
from talkcodec.motion.smooth import OneEuroFilter
from talkcodec.types import F64

FRAME = 1 / 25


def run(samples: F64) -> F64:
    smooth = OneEuroFilter()
    return np.stack([smooth(sample, FRAME) for sample in samples])


def test_noise_of_a_fraction_of_a_step_is_cut_by_a_third() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, (400, 4))
    assert run(noise)[50:].std() < 0.7 * noise[50:].std()


@pytest.mark.parametrize("height", [8.0, 20.0])
def test_a_blink_is_let_through_within_its_frame(height: float) -> None:
    samples = np.zeros((20, 1))
    samples[10:13] = height  # a lid falls within one frame and stays down for three
    shown = run(samples)[:, 0]
    assert shown[10] > 0.85 * height
    assert shown[13] < 0.2 * height


def test_reset_lets_the_next_sample_through_unchanged() -> None:
    smooth = OneEuroFilter()
    smooth(np.zeros(3), FRAME)
    smooth.reset()
    assert np.array_equal(smooth(np.full(3, 9.0), FRAME), np.full(3, 9.0))


def test_a_repeated_time_does_not_divide_by_zero() -> None:
    smooth = OneEuroFilter()
    smooth(np.zeros(2), FRAME)
    assert np.array_equal(smooth(np.ones(2), 0.0), np.ones(2))


def test_a_component_moves_only_beyond_the_dead_zone() -> None:
    predicted = np.array([4, 4, 4], np.int32)
    values = np.array([4 + DEAD_ZONE - 0.01, 4 + DEAD_ZONE + 0.01, 6.4])
    assert quantise(values, predicted).tolist() == [4, 5, 6]


def test_frames_of_a_group_are_quantised_one_around_the_other() -> None:
    start = np.array([0], np.int32)
    drift = np.array([[0.6], [1.2], [1.55]])
    assert quantise_group(drift, start)[:, 0].tolist() == [0, 1, 1]
    assert quantise_group(drift, start).dtype == np.int32
