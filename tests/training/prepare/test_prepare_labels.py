# SPDX-License-Identifier: Apache-2.0
"""Labels as bytes: what comes back is what went in, up to the stated rounding."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import InputError
from tests.training.prepare.making import random_labels
from training.prepare.labels import PassageLabels, pack, unpack


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(0, 1000), st.booleans())
def test_what_is_packed_comes_back(count: int, seed: int, mask: bool) -> None:  # noqa: FBT001
    put = random_labels(count, seed, mask=mask)
    got = unpack(pack(put))
    assert np.array_equal(got.ticks, put.ticks)
    assert np.array_equal(got.found, put.found)
    assert np.abs(got.landmarks - put.landmarks).max() <= 1 / 64 + 1e-4
    assert not got.landmarks[~put.found].any()
    assert got.blendshapes == pytest.approx(put.blendshapes, abs=1e-3)
    assert np.array_equal(got.pose, put.pose)
    if put.mask is None:
        assert got.mask is None
    else:
        assert got.mask is not None
        assert np.abs(got.mask.astype(int) - put.mask).max() <= 8


def test_packing_again_changes_nothing_and_gives_the_same_bytes() -> None:
    once = pack(random_labels(9, 1))
    again = pack(unpack(once))
    assert again == once


def test_landmarks_far_outside_are_held_at_the_edge() -> None:
    put = random_labels(3, 2, spread=4000)
    got = unpack(pack(put))
    assert np.abs(got.landmarks).max() <= 500
    inside = np.abs(put.landmarks) < 499
    assert np.abs(got.landmarks - put.landmarks)[inside].max() <= 1 / 64 + 1e-3


def test_a_still_face_costs_next_to_nothing() -> None:
    one = random_labels(1, 3)
    still = PassageLabels(
        *(np.repeat(getattr(one, n), 100, axis=0) for n in PassageLabels.__slots__)
    )
    assert len(pack(still)) < 2 * len(pack(one))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", bytes(500)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="expected the labels of a passage"):
        unpack(data)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_bytes_give_labels_or_are_refused_in_one_line(data: st.DataObject) -> None:
    whole = bytearray(pack(random_labels(2, 4, mask=False)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    told = ""
    try:
        unpack(bytes(whole))
    except InputError as error:
        told = str(error)
    assert "\n" not in told


def test_shapes_that_disagree_are_refused() -> None:
    put = random_labels(4, 5)
    with np.load(io.BytesIO(pack(put))) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["pose"] = arrays["pose"][:3]
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with pytest.raises(InputError, match="expected pose of shape"):
        unpack(buffer.getvalue())
