# SPDX-License-Identifier: Apache-2.0
"""The virtual link: loss, delay, rate and queue, all on a clock that the test moves."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import InputError
from talkcodec.rtc.link import (
    DATAGRAM_OVERHEAD,
    MAX_HELD,
    LinkConfig,
    VirtualLink,
    parse_link,
)


def link(config: LinkConfig, seed: int = 0) -> VirtualLink:
    return VirtualLink(config, random.Random(seed))


def test_a_transparent_link_delivers_at_once_and_counts_headers() -> None:
    path = link(LinkConfig())
    path.send(b"abc", 1.0)
    assert path.due(1.0) == [b"abc"]
    assert path.counts.offered_bytes == 3 + DATAGRAM_OVERHEAD
    assert path.next_due() is None
    assert LinkConfig().transparent


def test_delay_is_half_the_round_trip() -> None:
    path = link(LinkConfig(rtt=0.05))
    path.send(b"x", 2.0)
    assert path.next_due() == pytest.approx(2.025)
    assert path.due(2.0249) == []
    assert path.due(2.0251) == [b"x"]


def test_loss_is_near_its_probability_and_repeats_with_its_seed() -> None:
    def survivors(seed: int) -> list[bytes]:
        path = link(LinkConfig(loss=0.3), seed)
        for number in range(2000):
            path.send(number.to_bytes(2, "big"), 0.0)
        return path.due(0.0)

    assert 0.66 < len(survivors(1)) / 2000 < 0.74
    assert survivors(1) == survivors(1) != survivors(2)


def test_rate_limit_spaces_datagrams_and_drops_the_newest_when_the_queue_is_full() -> None:
    # 972 + 28 bytes at 8 kbit/s take one second each.
    path = link(LinkConfig(rate=8000, queue=1.5))
    outcomes = []
    for _ in range(4):
        path.send(bytes(972), 0.0)
        outcomes.append(path.counts.overflowed)
    # Waits of 0 s and 1 s fit a queue of 1.5 s; 2 s does not.
    assert outcomes == [0, 0, 1, 2]
    assert len(path.due(1.0)) == 1
    assert len(path.due(1.99)) == 0
    assert len(path.due(2.0)) == 1


def test_a_lost_datagram_still_uses_the_bottleneck() -> None:
    path = link(LinkConfig(rate=8000, loss=1.0, queue=2))
    path.send(bytes(972), 0.0)
    path.config = LinkConfig(rate=8000, queue=2)
    path.send(bytes(972), 0.0)
    assert path.next_due() == pytest.approx(2.0)


def test_jitter_lets_datagrams_overtake_each_other() -> None:
    path = link(LinkConfig(jitter=0.1))
    sent = [bytes([number]) for number in range(20)]
    for number, datagram in enumerate(sent):
        path.send(datagram, number * 0.01)
    arrived = path.due(1.0)
    assert sorted(arrived) == sent
    assert arrived != sent


def test_what_a_link_holds_is_bounded() -> None:
    path = link(LinkConfig(rtt=60))
    for _ in range(MAX_HELD + 10):
        path.send(b"", 0.0)
    assert path.counts.overflowed == 10
    assert len(path.due(100.0)) == MAX_HELD


@given(
    st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 1200)), max_size=60),
    st.floats(0, 1),
    st.floats(0, 0.3),
    st.one_of(st.none(), st.floats(2e3, 1e6)),
)
def test_every_datagram_is_delivered_lost_or_overflowed(
    traffic: list[tuple[float, int]], loss: float, jitter: float, rate: float | None
) -> None:
    path = link(LinkConfig(loss=loss, rtt=0.05, jitter=jitter, rate=rate))
    now = 0.0
    for step, size in traffic:
        now += step
        path.send(bytes(size), now)
    path.due(now + 1000)
    counts = path.counts
    assert counts.delivered + counts.lost + counts.overflowed == counts.offered == len(traffic)
    assert counts.offered_bytes == sum(size + DATAGRAM_OVERHEAD for _, size in traffic)


def test_link_texts_are_read() -> None:
    expected = LinkConfig(loss=0.3, rtt=0.05, rate=40000)
    assert parse_link("loss=0.3,rtt=50,rate=40k") == expected
    assert parse_link(" rate=1.5M, queue=200 ") == LinkConfig(rate=1.5e6, queue=0.2)
    assert parse_link("").transparent


@pytest.mark.parametrize(
    "text",
    ["loss", "loss=2", "loss=nan", "speed=3", "rate=fast", "rate=1", "rtt=1,rtt=2", "rtt=-1"],
)
def test_a_wrong_link_text_is_a_one_line_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_link(text)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)
