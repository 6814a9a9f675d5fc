# SPDX-License-Identifier: Apache-2.0
"""Payload and wire rates from packet sizes."""

from __future__ import annotations

import pytest

from talkcodec.bench.rates import channel_rate, rtp_rate


def test_rtp_adds_54_bytes_to_every_datagram() -> None:
    # 100 + 1146 bytes fit one datagram each, 1147 need two: 4 headers.
    rate = rtp_rate([100, 1146, 1147], 2.0)
    assert rate.payload == pytest.approx(2393 * 4 / 1000)
    assert rate.wire == pytest.approx((2393 + 4 * 54) * 4 / 1000)


@pytest.mark.parametrize(
    ("size", "per_second", "both"),
    # Measured on a real aiortc pair, both directions.
    [(14, 30, 48.5), (28, 15, 25.7), (80, 15, 32.0), (120, 10, 24.4)],
)
def test_the_channel_agrees_with_what_was_measured(size: int, per_second: int, both: float) -> None:
    rate = channel_rate([size] * per_second * 10, 10.0)
    assert rate.payload == pytest.approx(size * per_second * 8 / 1000)
    assert rate.wire == pytest.approx(both, rel=0.03)


def test_long_messages_are_sent_in_parts() -> None:
    one, two = channel_rate([1000], 1.0), channel_rate([1001], 1.0)
    assert two.wire - one.wire == pytest.approx((1 + 95 + 93) * 8 / 1000)
    with pytest.raises(ValueError, match="positive duration"):
        channel_rate([1], 0.0)
