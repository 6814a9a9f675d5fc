# SPDX-License-Identifier: Apache-2.0
"""Torn places are lent or filled from what surrounds them, and nothing else is touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcodec.render.mend import LOST, STRAINED, TEAR, Loan, harm, lent, smoothed, strain, taken
from talkcodec.render.resample import enlarged, resample
from talkcodec.types import F32, U8, Bool

NOWHERE = np.zeros((128, 128), np.bool_)


def textured() -> U8:
    coarse = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)


def pulled(wide: float = 2.0) -> F32:
    """A strip of ``wide`` canvas units, drawn 48 wide."""
    flow = np.zeros((128, 128, 2), np.float32)
    at = (np.arange(128, dtype=np.float32) + 0.5) * 2
    source = np.interp(at, [0, 80, 128, 256], [22, 102, 102 + wide, 230 + wide]).astype(np.float32)
    flow[..., 0] = (source - at)[None, :]
    return flow


def mended(picture: U8, flow: F32, inside: Bool) -> U8:
    harmed = harm(flow, inside)
    return picture if harmed is None else smoothed(picture, harmed == LOST)


def roughness(picture: U8) -> float:
    return float(np.abs(np.diff(picture[:, 92:116].astype(np.float64), axis=0)).mean())


def test_what_is_whole_stays() -> None:
    picture = textured()
    assert mended(picture, np.zeros((128, 128, 2), np.float32), NOWHERE) is picture


def test_a_pulled_strip_is_made_smooth_and_the_rest_stays() -> None:
    warped = resample(enlarged(textured()), pulled())
    out = mended(warped, pulled(), NOWHERE)
    assert roughness(out) < 0.5 * roughness(warped)
    np.testing.assert_array_equal(out[:, :64], warped[:, :64])
    np.testing.assert_array_equal(out[:, 144:], warped[:, 144:])


def test_what_is_pulled_less_is_lent_or_stays() -> None:
    warped = resample(enlarged(textured()), pulled(8.0))
    np.testing.assert_array_equal(mended(warped, pulled(8.0), NOWHERE), warped)
    loan = lent(harmed(pulled(8.0)), NOWHERE, np.zeros_like(pulled()))
    assert loan is not None
    assert loan.needed.max() > 0.9


def test_bars_beyond_the_edge_are_made_smooth() -> None:
    flow = np.zeros((128, 128, 2), np.float32)
    flow[..., 1] = 40.0
    warped = resample(enlarged(textured()), flow)
    out = mended(warped, flow, NOWHERE)
    across = np.abs(np.diff(warped[-16:].astype(float), axis=1)).mean()
    assert np.abs(np.diff(out[-16:].astype(float), axis=1)).mean() < 0.5 * across


def test_within_the_face_only_its_rim_is_filled() -> None:
    inside: Bool = np.zeros((128, 128), np.bool_)
    inside[20:108, 30:70] = True
    warped = resample(enlarged(textured()), pulled())
    out = mended(warped, pulled(), inside)
    np.testing.assert_array_equal(out[60:200, 72:128], warped[60:200, 72:128])
    assert not np.array_equal(out[:30, 92:116], warped[:30, 92:116])


def test_a_picture_torn_all_over_is_left_alone() -> None:
    flow = np.full((128, 128, 2), 900.0, np.float32)
    picture = textured()
    assert mended(picture, flow, NOWHERE) is picture


def harmed(flow: F32) -> U8:
    found = harm(flow, NOWHERE)
    assert found is not None
    return found


def test_a_place_is_strained_before_it_is_torn() -> None:
    drawn = {1.4: 0, 1.8: STRAINED, 2.8: STRAINED, 3.2: TEAR, 9.0: TEAR, 11.0: LOST}
    for times, wanted in drawn.items():
        flow = np.zeros((128, 128, 2), np.float32)
        flow[..., 0] = (128 - (np.arange(128) * 2 + 1)) * (1 - 1 / times)
        assert (strain(flow) == wanted).all(), times


def test_what_is_torn_is_lent_by_a_whole_reference() -> None:
    torn = harmed(pulled())
    loan = lent(torn, NOWHERE, np.zeros_like(pulled()))
    assert loan is not None
    assert not loan.left.any()
    assert loan.weight[torn > 0].min() > 0.5
    # Nothing far from the tear, and all that there is of it faded in.
    assert not loan.weight[cv2.dilate(torn, np.ones((25, 25), np.uint8)) == 0].any()
    assert np.abs(np.diff(loan.weight, axis=1)).max() < 0.3


def test_nothing_is_lent_by_a_reference_that_suffers_likewise() -> None:
    assert lent(harmed(pulled()), NOWHERE, pulled()) is None


def test_what_both_tear_is_left() -> None:
    torn, half = harmed(pulled()), pulled()
    half[64:] = 0
    loan = lent(torn, NOWHERE, half)
    assert loan is not None
    assert np.array_equal(loan.left[:60], torn[:60] == LOST)
    assert not loan.left[70:].any()
    assert loan.weight[70:].max() == pytest.approx(1, abs=1e-3)


def test_what_is_only_strained_lends_to_what_is_torn() -> None:
    flow = np.zeros((128, 128, 2), np.float32)
    flow[..., 0] = (128 - (np.arange(128) * 2 + 1)) * (1 - 1 / 2)
    loan = lent(harmed(pulled()), NOWHERE, flow)
    assert loan is not None
    assert not loan.left.any()
    assert loan.weight[harmed(pulled()) >= TEAR].min() > 0.5
    assert lent(harmed(flow), NOWHERE, pulled() * 0 + flow) is None


def test_of_the_face_only_what_is_harmed_is_lent() -> None:
    torn = harmed(pulled())
    inside: Bool = np.zeros((128, 128), np.bool_)
    inside[:, : int(np.flatnonzero(torn.any(0))[0])] = True
    loans = [lent(torn, face, np.zeros_like(pulled())) for face in (inside, NOWHERE)]
    within, free = (loan.weight[:, inside[0]].sum() for loan in loans if loan is not None)
    assert within < free


def test_what_is_not_torn_is_lent_only_by_a_picture_that_is_like_it() -> None:
    weight, needed = np.zeros((128, 128), np.float32), np.zeros((128, 128), np.float32)
    weight[20:40, 20:100] = 1
    needed[20:40, 60:100] = 1  # torn there
    loan = Loan(weight, needed, NOWHERE)
    grey = np.full((256, 256, 3), 100, np.uint8)
    for level, lent_where_not_torn in ((115, True), (180, False)):
        other = np.full((256, 256, 3), level, np.uint8)
        out = taken(grey, loan, other.__getitem__)
        assert (out[48:72, 130:190] == level).all()
        assert (out[48:72, 50:100] == (level if lent_where_not_torn else 100)).all()
        assert (out[100:] == 100).all()
        assert (grey == 100).all()
