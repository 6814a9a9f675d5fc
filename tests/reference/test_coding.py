# SPDX-License-Identifier: Apache-2.0
"""References are coded one at a time, here or elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.reference.codec import CodecId, open_decoder
from talkcodec.reference.coding import ReferenceCoder
from talkcodec.types import U8

SIDE = 64


def picture(seed: int = 0) -> U8:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


@pytest.fixture
def elsewhere() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_here_a_picture_is_there_at_once() -> None:
    coder: ReferenceCoder[str] = ReferenceCoder(CodecId.AV1, SIDE)
    assert coder.take() is None
    busy = [coder.busy]
    coder.begin("first", picture(), key=True, coarse=False)
    busy.append(coder.busy)
    done = coder.take()
    assert done is not None
    assert (done.of, done.key, done.picture.key) == ("first", True, True)
    assert [*busy, coder.busy] == [False, True, False]
    coder.begin("second", picture(), key=False, coarse=False)
    done = coder.take()
    assert done is not None
    assert (done.of, done.key, done.picture.key) == ("second", False, False)


def test_elsewhere_the_caller_goes_on(elsewhere: Executor) -> None:
    held = threading.Event()
    elsewhere.submit(held.wait, 10)  # the executor has other work first
    coder: ReferenceCoder[int] = ReferenceCoder(CodecId.AV1, SIDE, elsewhere)
    coder.begin(7, picture(), key=True, coarse=False)
    assert coder.busy
    assert coder.take() is None
    held.set()
    done = coder.take(wait=True)
    assert done is not None
    assert done.of == 7
    shown = open_decoder(CodecId.AV1, SIDE).decode(done.picture.data, key=True)
    assert np.abs(shown.astype(int) - picture()).mean() < 12


def test_what_is_begun_anew_replaces_what_was_not_taken(elsewhere: Executor) -> None:
    coder: ReferenceCoder[str] = ReferenceCoder(CodecId.AV1, SIDE, elsewhere)
    coder.begin("lost", picture(1), key=True, coarse=False)
    coder.begin("kept", picture(2), key=True, coarse=False)
    done = coder.take(wait=True)
    assert done is not None
    assert done.of == "kept"
    assert coder.take(wait=True) is None


def test_a_key_picture_may_be_coarse() -> None:
    coder: ReferenceCoder[None] = ReferenceCoder(CodecId.AV1, SIDE)
    sizes = []
    for coarse in (False, True, True, False):
        coder.begin(None, picture(3), key=True, coarse=coarse)
        done = coder.take()
        assert done is not None
        sizes.append(done.picture.quality)
    assert sizes[0] == sizes[3] < sizes[1] == sizes[2]


def test_an_error_elsewhere_is_raised_where_the_picture_is_taken(elsewhere: Executor) -> None:
    coder: ReferenceCoder[None] = ReferenceCoder(CodecId.AV1, SIDE, elsewhere)
    coder.begin(None, picture()[1:], key=True, coarse=False)
    with pytest.raises(InputError, match=r"^expected a picture of uint8 \(64, 64, 3\), found "):
        coder.take(wait=True)
    assert not coder.busy


def test_an_error_here_is_raised_at_once() -> None:
    coder: ReferenceCoder[None] = ReferenceCoder(CodecId.AV1, SIDE)
    with pytest.raises(InputError, match=r"^expected a picture of uint8 \(64, 64, 3\), found "):
        coder.begin(None, picture()[1:], key=True, coarse=False)
    assert not coder.busy
