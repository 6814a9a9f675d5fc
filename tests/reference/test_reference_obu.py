# SPDX-License-Identifier: Apache-2.0
"""AV1 units come apart and go together again without loss, and refuse what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import BitstreamError, TruncatedError
from talkcodec.reference import obu
from talkcodec.reference.av1 import SEQUENCE_HEADERS


@given(header=st.none() | st.binary(max_size=300), frame=st.binary(max_size=40_000))
def test_split_undoes_join(header: bytes | None, frame: bytes) -> None:
    assert obu.split(obu.join(header, frame)) == (header, frame)


@given(st.binary(max_size=200))
def test_any_bytes_split_or_raise(data: bytes) -> None:
    try:
        header, frame = obu.split(data)
    except BitstreamError:
        return
    assert len(header or b"") + len(frame) < len(data)


@given(st.binary(max_size=40))
def test_any_sequence_header_has_a_size_or_raises(data: bytes) -> None:
    try:
        width, height = obu.sequence_size(data)
    except BitstreamError:
        return
    assert 1 <= width <= 65536
    assert 1 <= height <= 65536


def test_sizes_of_the_built_in_headers() -> None:
    for side, header in SEQUENCE_HEADERS.items():
        assert obu.sequence_size(header) == (side, side)


def test_metadata_is_dropped_and_a_unit_without_size_runs_to_the_end() -> None:
    unit = b"\x12\x00" + b"\x2a\x02ab" + b"\x30frame"
    assert obu.split(unit) == (None, b"frame")


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (b"", "expected 1 AV1 frame, found 0"),
        (b"\x32\x01a\x32\x01b", "expected 1 AV1 frame, found 2"),
        (b"\x1a\x01a", "found 3"),
        (b"\x32\x05ab", "unit of 5 bytes"),
        (b"\x32\xff", "found the end"),
        (b"\x32" + b"\xff" * 9, "found a longer one"),
    ],
)
def test_what_split_refuses(unit: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        obu.split(unit)


@pytest.mark.parametrize(
    ("header", "message"),
    [(b"\x04" + bytes(9), "timing"), (b"\x01\x00\x00" + bytes(9), "operating point")],
)
def test_what_sequence_size_refuses(header: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        obu.sequence_size(header)


def test_short_sequence_header_is_truncated() -> None:
    with pytest.raises(TruncatedError):
        obu.sequence_size(b"\x00\x00")
