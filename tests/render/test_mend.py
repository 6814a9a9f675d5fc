# SPDX-License-Identifier: Apache-2.0
"""Torn places are filled from what surrounds them, and nothing else is touched."""

from __future__ import annotations

import cv2
import numpy as np

from talkcodec.render.geometric import resample
from talkcodec.render.mend import mended
from talkcodec.types import F32, U8, Bool

NOWHERE = np.zeros((128, 128), np.bool_)


def textured() -> U8:
    coarse = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)


def pulled() -> F32:
    """A strip of 4 canvas units, drawn 48 wide."""
    flow = np.zeros((128, 128, 2), np.float32)
    at = (np.arange(128, dtype=np.float32) + 0.5) * 2
    source = np.interp(at, [0, 80, 128, 256], [22, 102, 106, 234]).astype(np.float32)
    flow[..., 0] = (source - at)[None, :]
    return flow


def roughness(picture: U8) -> float:
    return float(np.abs(np.diff(picture[:, 92:116].astype(np.float64), axis=0)).mean())


def test_what_is_whole_stays() -> None:
    picture = textured()
    assert mended(picture, np.zeros((128, 128, 2), np.float32), NOWHERE) is picture


def test_a_pulled_strip_is_made_smooth_and_the_rest_stays() -> None:
    warped = resample(textured(), pulled())
    out = mended(warped, pulled(), NOWHERE)
    assert roughness(out) < 0.5 * roughness(warped)
    np.testing.assert_array_equal(out[:, :64], warped[:, :64])
    np.testing.assert_array_equal(out[:, 144:], warped[:, 144:])


def test_bars_beyond_the_edge_are_made_smooth() -> None:
    flow = np.zeros((128, 128, 2), np.float32)
    flow[..., 1] = 40.0
    warped = resample(textured(), flow)
    out = mended(warped, flow, NOWHERE)
    across = np.abs(np.diff(warped[-16:].astype(float), axis=1)).mean()
    assert np.abs(np.diff(out[-16:].astype(float), axis=1)).mean() < 0.5 * across


def test_within_the_face_only_its_rim_is_filled() -> None:
    inside: Bool = np.zeros((128, 128), np.bool_)
    inside[20:108, 30:70] = True
    warped = resample(textured(), pulled())
    out = mended(warped, pulled(), inside)
    np.testing.assert_array_equal(out[60:200, 72:128], warped[60:200, 72:128])
    assert not np.array_equal(out[:30, 92:116], warped[:30, 92:116])


def test_a_picture_torn_all_over_is_left_alone() -> None:
    flow = np.full((128, 128, 2), 900.0, np.float32)
    picture = textured()
    assert mended(picture, flow, NOWHERE) is picture
