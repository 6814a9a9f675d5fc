# SPDX-License-Identifier: Apache-2.0
"""Payload and wire rates from packet sizes."""

from __future__ import annotations

import pytest

from talkcodec.bench.rates import (
    CHUNK,
    REPORT_INTERVAL,
    channel_rate,
    message_wire,
    reference_wire,
    reports_wire,
    rtp_rate,
)
from talkcodec.types import PacketKind


def test_rtp_adds_its_headers_to_every_datagram() -> None:
    # 100 + 1146 bytes fit one datagram each, 1147 need two: 4 headers.
    rate = rtp_rate([100, 1146, 1147], 2.0, 1)
    assert rate.payload == pytest.approx(2393 * 4 / 1000)
    assert rate.wire == pytest.approx((2393 + 4 * 51) * 4 / 1000)


@pytest.mark.parametrize(
    ("size", "per_second", "both"),
    # Measured on a real aiortc pair, both directions, no reports.
    [(14, 30, 48.5), (28, 15, 25.7), (80, 15, 32.0), (120, 10, 24.4)],
)
def test_the_channel_agrees_with_what_was_measured(size: int, per_second: int, both: float) -> None:
    rate = channel_rate([size] * per_second * 10, 10.0)
    assert rate.payload == pytest.approx(size * per_second * 8 / 1000)
    assert rate.wire - reports_wire(10.0) * 8 / 10_000 == pytest.approx(both, rel=0.03)


def test_the_receivers_reports_are_counted() -> None:
    idle = channel_rate([], 10.0)
    assert idle.payload == 0
    # Five of about 272 bytes, headers and the answer to each included.
    assert idle.wire == pytest.approx(5 * 272 * 8 / 10_000, rel=0.05)


def test_references_travel_in_chunks_with_parity_and_are_acknowledged() -> None:
    acknowledgement, report = message_wire(29), message_wire(20)
    # 440 bytes fit a chunk with its header of 10, one more makes two chunks; and one of parity.
    assert reference_wire(440) == 2 * (message_wire(450) + report) + acknowledgement
    assert reference_wire(442) == 3 * (message_wire(231) + report) + acknowledgement
    # Six chunks of 417 and a header each, the last two bytes shorter.
    assert reference_wire(2500) == 7 * (message_wire(427) + report) - 2 + acknowledgement
    kinds: list[PacketKind] = ["header", "reference", "motion"]
    rate = channel_rate([20, 2500, 30], 1.0, kinds)
    parts = message_wire(20) + reference_wire(2500) + message_wire(30) + reports_wire(1.0)
    assert rate.payload == pytest.approx(2550 * 8 / 1000)
    assert rate.wire == pytest.approx(parts * 8 / 1000)


def test_the_call_sends_what_is_counted_here() -> None:
    from talkcodec.rtc import arrivals
    from talkcodec.rtc.references import PaceConfig

    assert PaceConfig().chunk == CHUNK
    assert arrivals.REPORT_INTERVAL == REPORT_INTERVAL


def test_a_rate_needs_a_duration() -> None:
    with pytest.raises(ValueError, match="positive duration"):
        channel_rate([1], 0.0)
