# SPDX-License-Identifier: Apache-2.0
"""Pacing and repair of reference chunks, on times that the test chooses."""

from __future__ import annotations

import pytest

from talkcodec.rtc.references import (
    MESSAGE_OVERHEAD,
    PaceConfig,
    ReferenceOutbox,
    RepairConfig,
    RepairSchedule,
)

#: 905 + 95 bytes at 80 kbit/s take a tenth of a second.
CHUNKS = [bytes([number]) * (1000 - MESSAGE_OVERHEAD) for number in range(4)]
PACE = PaceConfig(rate=80_000)


def drain(outbox: ReferenceOutbox, start: float = 0.0) -> list[tuple[float, int]]:
    """Return (time to 1 ms, first byte) of every chunk that leaves."""
    left = []
    now = start
    while (due := outbox.next_due()) is not None:
        now = max(now, due)
        chunk = outbox.due(now)
        assert chunk is not None
        left.append((round(now, 3), chunk[0]))
    return left


def test_chunks_leave_in_order_at_the_configured_rate() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    assert drain(outbox, 1.0) == [(1.0, 0), (1.1, 1), (1.2, 2), (1.3, 3)]
    assert outbox.next_due() is None
    assert outbox.due(9.0) is None


def test_repairs_go_first_and_a_chunk_is_queued_once() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    assert outbox.due(0.0) == CHUNKS[0]
    assert outbox.due(0.05) is None
    assert outbox.repair(0, [0, 2])
    assert outbox.repair(0, [0, 99])
    assert [number for _, number in drain(outbox, 0.1)] == [0, 1, 2, 3]
    assert outbox.repaired == 1
    assert outbox.repair(0, None)
    assert [number for _, number in drain(outbox, 1.0)] == [0, 1, 2, 3]


def test_a_forgotten_reference_cannot_be_repaired() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=1e9, fastest=1e9, kept=2))
    for sequence in range(3):
        outbox.add(sequence, CHUNKS)
    assert not outbox.repair(0, None)
    assert outbox.repair(1, None)
    # What was queued of the forgotten one is gone too.
    assert len(drain(outbox)) == 8


def test_a_sequence_number_used_again_replaces_the_old_chunks() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(7, CHUNKS)
    outbox.add(7, CHUNKS[2:3])
    assert [number for _, number in drain(outbox)] == [2]


def test_a_hole_is_asked_for_soon_and_again_until_it_comes() -> None:
    schedule = RepairSchedule(RepairConfig(hole=0.02, tail=0.2, retry=0.3))
    schedule.heard(5, 2, [1, 3], 10.0)
    assert schedule.next_due() == pytest.approx(10.02)
    assert schedule.due(10.01) == []
    assert schedule.due(10.02) == [(5, (1, 3))]
    schedule.heard(5, 3, [1], 10.1)
    assert schedule.next_due() == pytest.approx(10.32)
    assert schedule.due(10.33) == [(5, (1,))]
    schedule.complete(5)
    assert schedule.next_due() is None


def test_a_missing_tail_is_given_time() -> None:
    schedule = RepairSchedule(RepairConfig(tail=0.2))
    schedule.heard(1, 0, [1, 2], 0.0)
    assert schedule.next_due() == pytest.approx(0.2)
    schedule.heard(1, 1, [2], 0.05)
    assert schedule.due(0.24) == []
    assert schedule.due(0.26) == [(1, (2,))]


def test_a_slow_pace_is_no_loss() -> None:
    schedule = RepairSchedule(RepairConfig(tail=0.2))
    schedule.heard(1, 0, [1, 2], 0.0)
    schedule.heard(1, 1, [2], 0.19)
    assert schedule.due(0.19 + 0.47) == []
    assert schedule.due(0.19 + 0.48) == [(1, (2,))]


def test_the_pace_follows_the_queue_it_makes_within_bounds() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=64e3, slowest=30e3, fastest=100e3))
    outbox.adapt(0.5)
    assert outbox.rate == pytest.approx(38.4e3)
    outbox.adapt(0.5)
    assert outbox.rate == 30e3
    for _ in range(9):
        outbox.adapt(0.01)
    assert outbox.rate == 100e3


@pytest.mark.parametrize("wrong", [{"rate": 1.0}, {"slowest": 0.0}, {"chunk": 1001}])
def test_a_wrong_pace_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected slowest <= rate <= fastest"):
        PaceConfig(**wrong)  # type: ignore[arg-type]


def test_a_reference_never_heard_of_is_asked_for_whole() -> None:
    schedule = RepairSchedule(RepairConfig(tail=0.2))
    schedule.wanted(9, 0.0)
    schedule.wanted(9, 0.1)
    assert schedule.due(0.2) == [(9, None)]
    schedule.heard(9, 0, [1], 0.21)
    assert schedule.due(1.0) == [(9, (1,))]


def test_asking_ends() -> None:
    schedule = RepairSchedule(RepairConfig(attempts=3, retry=1.0, tail=0.0))
    schedule.wanted(1, 0.0)
    asked = sum(len(schedule.due(float(now))) for now in range(10))
    assert asked == 3
    assert schedule.given_up == 1
    assert schedule.next_due() is None


def test_references_under_repair_are_bounded() -> None:
    schedule = RepairSchedule(RepairConfig(pending=2))
    for sequence in range(5):
        schedule.wanted(sequence, 0.0)
    assert [sequence for sequence, _ in schedule.due(10.0)] == [3, 4]
    assert schedule.given_up == 3
