# SPDX-License-Identifier: Apache-2.0
"""The transport measured end to end: real peer connections, no codec."""

from __future__ import annotations

import asyncio

import pytest

from talkcodec.rtc.linktext import parse_link
from talkcodec.rtc.probe import ProbeConfig, probe


def test_the_probe_agrees_with_what_was_sent() -> None:
    config = ProbeConfig(link=parse_link("rtt=20"), seconds=2.0, every=1.0, reference=1500)
    result = asyncio.run(probe(config))
    assert result["groups"] == 17
    assert result["references"] == 2
    # 17 groups of 4 + 36 bytes and 2 references of 1500 bytes and a header of 8.
    assert result["payload_kbps"] == pytest.approx((17 * 40 + 2 * 1508) * 8 / 2 / 1000, abs=0.1)
    forward, payload = result["wire_kbps_forward"], result["payload_kbps"]
    assert isinstance(forward, float)
    assert isinstance(payload, float)
    # About 95 B of headers for each of 17 groups and 6 chunks.
    assert 0.7 < (forward - payload) / (23 * 95 * 8 / 2 / 1000) < 1.6
    assert result["delivered"] >= 0.9
