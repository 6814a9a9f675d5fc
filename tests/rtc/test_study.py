# SPDX-License-Identifier: Apache-2.0
"""Whole calls on a virtual clock: what the transport promises, row by row."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from talkcodec.errors import InputError
from talkcodec.rtc import study
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.linktext import parse_link
from talkcodec.rtc.rate import RateConfig
from talkcodec.rtc.simulation import Simulation, SimulationConfig
from talkcodec.types import StreamSettings


def test_a_clean_call_shows_every_frame_and_costs_what_it_should() -> None:
    row = study.steady(40.0)
    assert row["met"]
    # 8.33 groups a second with 188 bytes of headers and acknowledgements each.
    assert 13 < row["wire_kbps_both"] < 19
    log = Simulation(SimulationConfig(parse_link("rtt=50"), 10.0)).run()
    assert not any(shown.concealed for shown in log.shown)
    ticks = [shown.tick for shown in log.shown]
    assert ticks == list(range(ticks[0], ticks[-1] + 1))


@pytest.mark.parametrize("seed", [0, 1])
def test_at_30_percent_loss_the_picture_never_stands(seed: int) -> None:
    row = study.heavy_loss(60.0, seed)
    assert row["met"]
    assert 0 < row["concealed"] < 0.15


def test_after_a_blackout_the_picture_is_back_soon() -> None:
    assert study.blackout(4)["met"]


def test_references_cost_motion_nothing_and_arrive_without_a_round_trip() -> None:
    row = study.references(3)
    wide, narrow = row["wide"], row["at_40_kbps"]
    assert wide["motion_over_half_rtt_ms"]["max"] < 5
    assert wide["completed_by_parity"] > wide["requests"]
    # Motion takes 25 ms of its own on the bottleneck, and waits for little more than an answer.
    assert row["met"]
    assert narrow["motion_over_half_rtt_ms"]["p95"] < 35
    assert narrow["reference_ms"]["p50"] < 1200
    # What is lost comes with the next packet, a group later.
    assert narrow["lost_motion_as_copy_ms"]["p50"] == pytest.approx(145, abs=5)


@pytest.mark.parametrize(("rate", "took"), [(20, 4.5), (30, 2.4), (40, 1.3)])
def test_what_waits_at_the_sender_of_a_narrow_path_is_not_asked_for(rate: int, took: float) -> None:
    due = tuple((6.0 * number, study.COARSE_KEY) for number in range(1, 7))
    config = SimulationConfig(parse_link(f"rtt=50,rate={rate}k"), 48.0, references=due)
    simulation = Simulation(config)
    log = simulation.run()
    # The first chunk of a call may be a slow one; nothing is known of the path yet.
    assert simulation.receiver.counts.requests <= 1
    assert simulation.sender.chunks_repaired == 0
    times = [(end or config.seconds) - begin for begin, end in log.references.values()]
    assert max(times) < took


@pytest.mark.parametrize("rate", [20, 40])
def test_on_a_narrow_path_that_loses_few_chunks_are_asked_for_and_few_leave_twice(
    rate: int,
) -> None:
    link = parse_link(f"loss=0.05,rtt=50,rate={rate}k")
    due = tuple((6.0 * number, study.COARSE_KEY) for number in range(1, 7))
    sent = requests = repaired = 0
    for seed in range(3):
        simulation = Simulation(SimulationConfig(link, 48.0, references=due, seed=seed))
        simulation.run()
        sent += simulation.sender.counts.chunks
        requests += simulation.receiver.counts.requests
        repaired += simulation.sender.chunks_repaired
    assert requests <= 8
    assert repaired <= 0.01 * sent


def test_delay_is_the_sum_of_its_parts() -> None:
    row = study.latency(0.016, 0.012)
    assert row["met"]
    assert row["capture_to_display_ms"]["p95"] == pytest.approx(sum(row["parts_ms"].values()))
    assert row["parts_ms"]["playout"] < 20


def test_a_link_that_drops_is_followed_within_a_second() -> None:
    assert study.link_drop(3)["met"]


def test_ten_kilobits_both_ways_are_a_call() -> None:
    row = study.narrow()
    assert row["met"]
    assert row["pictures_per_second"] > 8
    assert row["longest_ms"] < 300


def test_reordering_and_duplicates_do_no_harm() -> None:
    link = LinkConfig(rtt=0.05, jitter=0.02, reorder=0.1, duplicate=0.1)
    simulation = Simulation(SimulationConfig(link, 20.0, references=((5.0, 1500),)))
    log = simulation.run()
    gaps = [b.time - a.time for a, b in zip(log.shown, log.shown[1:], strict=False)]
    assert max(gaps) < 0.2
    assert simulation.sender.rate.rung == 0


def test_a_call_without_rate_control_keeps_its_settings() -> None:
    best = StreamSettings(1, 0, redundancy=True)
    config = SimulationConfig(parse_link("rtt=50,loss=0.3"), 5.0, best=best, adapt=False)
    log = Simulation(config).run()
    assert {settings for _, settings in log.settings} == {best}


def test_what_waits_stays_bounded_on_a_path_that_carries_almost_nothing() -> None:
    config = SimulationConfig(
        LinkConfig(rtt=0.05, rate=2_000),
        60.0,
        references=tuple((float(n), 3300) for n in range(60)),
    )
    simulation = Simulation(replace(config, rate=RateConfig()))
    simulation.run()
    sender = simulation.sender
    assert len(sender._outbox._chunks) <= 8
    assert len(sender._outbox._queue) <= 8 * 30
    assert len(sender._path._departures) <= 512
    assert len(simulation.receiver._reassembler._partial) <= 4


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    study.main(["--only", "steady", "--only", "blackout_500ms"])
    table = json.loads(capsys.readouterr().out)["simulated"]
    assert set(table) == {"steady", "blackout_500ms"}
    with pytest.raises(InputError, match="expected rows of"):
        study.main(["--only", "lunch"])
