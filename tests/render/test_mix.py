# SPDX-License-Identifier: Apache-2.0
"""Pictures are laid over one another as in exact arithmetic, rounded once."""

from __future__ import annotations

import numpy as np

from talkcodec.render.mix import mixed


def test_pictures_are_mixed_and_rounded_once() -> None:
    random = np.random.default_rng(0)
    base, other = random.integers(0, 256, (2, 20, 30, 3), np.uint8)
    wide = random.integers(0, 256, (40, 60, 3), np.uint8)
    part = wide[7:27, 11:41]  # as parts of pictures are: with gaps between its rows
    share = random.random((20, 30)).astype(np.float32)
    change = random.normal(0, 60, base.shape).astype(np.float32)
    exact = part + share[..., None].astype(np.float64) * (other.astype(np.float64) - part)
    assert np.abs(mixed(part, other, share) - exact).max() < 0.501
    bounded = np.clip(exact + change, 0, 255)
    assert np.abs(mixed(part, other, share, change) - bounded).max() < 0.501
    floats = other.astype(np.float32)
    np.testing.assert_array_equal(mixed(part, floats, share), mixed(part, other, share))
    np.testing.assert_array_equal(mixed(base, other, np.zeros_like(share)), base)
    np.testing.assert_array_equal(mixed(base, other, np.ones_like(share)), other)
