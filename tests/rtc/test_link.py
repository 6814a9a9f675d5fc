# SPDX-License-Identifier: Apache-2.0
"""The virtual link: loss, delay, rate and queue, all on a clock that the test moves."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import InputError
from talkcodec.rtc.link import (
    DATAGRAM_OVERHEAD,
    MAX_HELD,
    LinkConfig,
    VirtualLink,
)
from talkcodec.rtc.linktext import parse_link
from talkcodec.rtc.trace import OPPORTUNITY, Trace


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


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 4.0), (0.3, 3.0), (0.5, 10.0)])
def test_bursts_have_their_length_and_their_part(loss: float, burst: float) -> None:
    path = link(LinkConfig(loss=loss, burst=burst), 3)
    came = []
    for number in range(40_000):
        path.send(b"x", float(number))
        came += [number] * len(path.due(float(number)))
    holes = [later - earlier - 1 for earlier, later in pairwise(came) if later - earlier > 1]
    assert path.counts.lost / 40_000 == pytest.approx(loss, rel=0.15)
    assert sum(holes) / len(holes) == pytest.approx(burst, rel=0.15)


def test_total_loss_in_bursts_is_total_loss() -> None:
    path = link(LinkConfig(loss=1.0, burst=5))
    for _ in range(100):
        path.send(b"x", 0.0)
    assert path.counts.lost == 100


def test_some_datagrams_come_late_or_twice() -> None:
    path = link(LinkConfig(reorder=0.2, duplicate=0.1))
    for number in range(1000):
        path.send(number.to_bytes(2, "big"), number * 0.01)
    came = path.due(99.0)
    assert 60 < path.counts.duplicated < 140
    assert len(came) == 1000 + path.counts.duplicated
    order = [int.from_bytes(data, "big") for data in came]
    assert 100 < sum(later < earlier for earlier, later in pairwise(order)) < 300


def test_nothing_passes_during_a_blackout() -> None:
    path = link(LinkConfig(blackout=(1.0, 1.5)))
    path.impair(path.config, 100.0)
    for step in range(30):
        path.send(bytes([step]), 100.0 + step / 10)
    assert [data[0] for data in path.due(200.0)] == [*range(10), *range(15, 30)]


def test_a_trace_delivers_at_its_opportunities_and_repeats() -> None:
    # Two opportunities at 10 ms, one at 50 ms, and again after these 50 ms.
    path = link(LinkConfig(trace=Trace((10, 10, 50)), queue=10))
    for _ in range(4):
        path.send(bytes(OPPORTUNITY - DATAGRAM_OVERHEAD), 7.0)
    arrivals = []
    while (due := path.next_due()) is not None:
        arrivals += [round(due - 7.0, 6)] * len(path.due(due))
    assert arrivals == [0.01, 0.01, 0.05, 0.06]


def test_datagrams_share_an_opportunity_and_unused_ones_are_gone() -> None:
    path = link(LinkConfig(trace=Trace((0, 20, 40)), queue=10))
    for _ in range(3):
        path.send(bytes(700 - DATAGRAM_OVERHEAD), 0.0)
    assert len(path.due(0.0)) == 2
    assert len(path.due(0.02)) == 1
    path.send(b"x", 0.021)  # 800 bytes of the opportunity at 20 ms went by
    assert path.next_due() == pytest.approx(0.04)


def test_a_traced_link_drops_what_would_wait_too_long() -> None:
    path = link(LinkConfig(trace=Trace((0, 1000)), queue=0.3))
    path.send(bytes(OPPORTUNITY - DATAGRAM_OVERHEAD), 0.0)
    path.send(b"x", 0.1)
    path.send(b"y", 0.9)
    assert path.counts.overflowed == 1
    assert path.due(1.0)[-1] == b"y"


def test_a_trace_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "link.down"
    file.write_text("0\n5\n5\n20\n", encoding="ascii")
    config = parse_link(f"trace={file},rtt=40")
    assert config.trace is not None
    assert config.trace.times == (0, 5, 5, 20)
    assert not config.transparent


@pytest.mark.parametrize(
    "content", ["", "0\n", "5\n4\n", "-1\n", "1.5\n", "one\n", "99999999999\n"]
)
def test_another_file_is_no_trace(tmp_path: Path, content: str) -> None:
    file = tmp_path / "link"
    file.write_text(content, encoding="ascii")
    with pytest.raises(InputError, match="expected"):
        parse_link(f"trace={file}")
    with pytest.raises(InputError, match="expected a trace file"):
        parse_link(f"trace={tmp_path / 'nowhere'}")


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0, 0.1), st.integers(0, 1200)), max_size=40),
)
def test_a_trace_never_delivers_more_than_its_opportunities(
    times: list[int], traffic: list[tuple[float, int]]
) -> None:
    trace = Trace((*sorted(times), max(times) + 1))
    path = link(LinkConfig(trace=trace, queue=0.2))
    now = 0.0
    for step, size in traffic:
        now += step
        path.send(bytes(size), now)
    delivered, last = 0, 0.0
    while (due := path.next_due()) is not None:
        delivered += sum(len(data) + DATAGRAM_OVERHEAD for data in path.due(due))
        last = due
    assert delivered <= OPPORTUNITY * trace.first_after(last + 1e-3)
    assert path.counts.delivered + path.counts.overflowed == len(traffic)


@given(
    st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 1200)), max_size=60),
    st.floats(0, 1),
    st.floats(0, 0.3),
    st.one_of(st.none(), st.floats(2e3, 1e6)),
    st.floats(1, 20),
)
def test_every_datagram_is_delivered_lost_or_overflowed(
    traffic: list[tuple[float, int]], loss: float, jitter: float, rate: float | None, burst: float
) -> None:
    path = link(
        LinkConfig(loss=loss, rtt=0.05, jitter=jitter, rate=rate, burst=burst, duplicate=0.2)
    )
    now = 0.0
    for step, size in traffic:
        now += step
        path.send(bytes(size), now)
    path.due(now + 1000)
    counts = path.counts
    assert counts.delivered + counts.lost + counts.overflowed == len(traffic) + counts.duplicated
    assert counts.offered == len(traffic)
    assert counts.offered_bytes == sum(size + DATAGRAM_OVERHEAD for _, size in traffic)


def test_link_texts_are_read() -> None:
    expected = LinkConfig(loss=0.3, rtt=0.05, rate=40000)
    assert parse_link("loss=0.3,rtt=50,rate=40k") == expected
    assert parse_link(" rate=1.5M, queue=200 ") == LinkConfig(rate=1.5e6, queue=0.2)
    assert parse_link("").transparent
    bad = LinkConfig(loss=0.1, burst=4, reorder=0.05, duplicate=0.02, blackout=(5.0, 5.5))
    assert parse_link("loss=0.1,burst=4,reorder=0.05,duplicate=0.02,blackout=5000+500") == bad


@pytest.mark.parametrize(
    "text",
    [
        "loss",
        "loss=2",
        "loss=nan",
        "speed=3",
        "rate=fast",
        "rate=1",
        "rtt=1,rtt=2",
        "rtt=-1",
        "burst=0",
        "reorder=2",
        "duplicate=-1",
        "blackout=5",
        "blackout=1+x",
        "blackout=1+-1",
    ],
)
def test_a_wrong_link_text_is_a_one_line_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_link(text)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)
