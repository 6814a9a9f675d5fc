# SPDX-License-Identifier: Apache-2.0
"""The receiver's report in bytes."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from talkcodec.bitstream import Arrival, PathReport, classify
from talkcodec.errors import BitstreamError

u16 = st.integers(0, 65535)
arrivals = st.builds(Arrival, u16, st.integers(0, 32767), st.booleans())
reports = st.builds(
    PathReport,
    st.integers(0, 2**32 - 1),
    u16,
    u16,
    st.lists(arrivals, max_size=32).map(tuple),
    st.lists(st.integers(0, 255), max_size=8).map(tuple),
)
REPORT = PathReport(1000, 3, 80, (Arrival(75, 900), Arrival(0x0302, 20, chunk=True)), (1, 2))


@given(reports)
@settings(max_examples=100, deadline=None)
def test_reports_round_trip(report: PathReport) -> None:
    data = report.serialize()
    assert classify(data) == "report"
    assert PathReport.parse(data) == report
    assert len(data) == 12 + 4 * len(report.arrivals) + len(report.held)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_report_or_an_error(data: bytes) -> None:
    try:
        report = PathReport.parse(b"\6\1" + data)
    except BitstreamError as error:
        assert "\n" not in str(error)  # noqa: PT017  most bytes are none
    else:
        assert report.serialize() == b"\6\1" + data


@pytest.mark.parametrize("cut", range(20))
def test_a_cut_report_is_an_error(cut: int) -> None:
    with pytest.raises(BitstreamError, match="expected"):
        PathReport.parse(REPORT.serialize()[:cut])


@pytest.mark.parametrize("at", [(0, 4), (1, 2), (10, 9), (13, 33)])
def test_other_versions_and_counts_are_refused(at: tuple[int, int]) -> None:
    data = bytearray(REPORT.serialize())
    data[at[0]] = at[1]
    with pytest.raises(BitstreamError, match="expected"):
        PathReport.parse(bytes(data))


def test_what_follows_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="expected 22 bytes of a report, found 23"):
        PathReport.parse(REPORT.serialize() + b"x")


@pytest.mark.parametrize(
    "bad",
    [
        {"clock": 2**32},
        {"received": -1},
        {"delay_ms": 65536},
        {"held": (256,)},
        {"held": tuple(range(9))},
        {"arrivals": (Arrival(0, 32768),)},
        {"arrivals": (Arrival(65536, 0),)},
        {"arrivals": (Arrival(0, 0),) * 33},
    ],
)
def test_report_bounds(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        replace(REPORT, **bad)  # type: ignore[arg-type]
