# SPDX-License-Identifier: Apache-2.0
"""Parity, pacing and repair of reference chunks, on times that the test chooses."""

from __future__ import annotations

import random

import pytest

from talkcodec.bitstream.chunks import CHUNK_HEADER, Chunk, Missing, fragment
from talkcodec.rtc.path import MESSAGE_OVERHEAD
from talkcodec.rtc.references import (
    GRACE,
    PaceConfig,
    ReferenceOutbox,
    RepairConfig,
    RepairSchedule,
    chunk_size,
    parity_for,
)

#: Four chunks of 1000 bytes on the wire, a tenth of a second each at 80 kbit/s.
SIZE = 1000 - MESSAGE_OVERHEAD - CHUNK_HEADER
CHUNKS = fragment(bytes(4 * SIZE), 0, SIZE + CHUNK_HEADER)
PACE = PaceConfig(rate=80_000, chunk=1000, window=10_000, ahead=10)


def drain(outbox: ReferenceOutbox, start: float = 0.0) -> list[tuple[float, int]]:
    """Return (time to 1 ms, index) of every chunk that leaves; each arrives at once."""
    left = []
    now = start
    while (due := outbox.next_due()) is not None:
        now = max(now, due)
        chunk = outbox.due(now)
        assert chunk is not None
        outbox.arrived(chunk.sequence, chunk.index, now)
        left.append((round(now, 3), chunk.index))
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
    assert outbox.repair(0, [0], 0.06)  # still under way
    assert outbox.repaired == 0
    outbox.arrived(0, 0, 0.06)
    assert outbox.repair(0, [0, 2], 0.06)
    assert outbox.repair(0, [0, 99], 0.07)
    assert [number for _, number in drain(outbox, 0.1)] == [0, 1, 2, 3]
    assert outbox.repaired == 1
    assert outbox.repair(0, None, 0.9)
    assert [number for _, number in drain(outbox, 1.0)] == [0, 1, 2, 3]


def test_what_a_request_does_not_name_before_its_last_has_come() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=256_000, chunk=1000, window=3500, ahead=1))
    outbox.add(0, fragment(bytes(8 * SIZE), 0, SIZE + CHUNK_HEADER))
    assert all(outbox.due(0.1 * number) for number in range(3))
    assert outbox.due(0.35) is None  # no more may be under way
    assert outbox.repair(0, [1, 3], 0.4)  # 2 came, so what left before it is lost
    assert outbox.repaired == 1
    left = [outbox.due(0.4 + 0.1 * number) for number in range(2)]
    assert [chunk and chunk.index for chunk in left] == [1, 3]


def test_a_forgotten_reference_cannot_be_repaired() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=1e9, fastest=1e9, kept=2))
    for sequence in range(3):
        outbox.add(sequence, CHUNKS)
    assert not outbox.repair(0, None, 0.0)
    assert len(drain(outbox)) == 8


def test_no_more_is_under_way_than_the_window_and_answers_come_before_it_is_full() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=256_000, chunk=1000, window=3500, ahead=1))
    outbox.add(0, fragment(bytes(8 * SIZE), 0, SIZE + CHUNK_HEADER))
    left = [outbox.due(0.1 * number) for number in range(3)]
    # The second is answered while there is room for a third, which asks again, being the last.
    assert [chunk and chunk.answer for chunk in left] == [False, True, True]
    assert outbox.due(0.35) is None
    outbox.arrived(0, 1, 0.36)  # and so 0 is under way no longer, reported or not
    left = [outbox.due(0.4), outbox.due(0.5)]
    assert [chunk and (chunk.index, chunk.answer) for chunk in left] == [(3, False), (4, True)]


def test_the_last_chunk_asks_so_that_a_lost_acknowledgement_is_made_up_for() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    left = [outbox.due(0.1 * number) for number in range(4)]
    assert [chunk and chunk.answer for chunk in left] == [False, False, False, True]


def test_a_path_that_is_known_gets_a_window_of_time() -> None:
    config = PaceConfig(rate=80_000, chunk=1000, window=1000, ahead=0.3)
    for known, most in ((False, 1), (True, 3)):
        outbox = ReferenceOutbox(config)
        outbox.set_rate(80_000, known=known)
        outbox.add(0, CHUNKS)
        left = [outbox.due(0.1 * number) for number in range(4)]
        assert sum(chunk is not None for chunk in left) == most


def test_a_slow_path_gets_a_smaller_window() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=40_000, chunk=1000, window=2500, ahead=0.3))
    outbox.add(0, CHUNKS)
    first = outbox.due(0.0)
    assert first is not None
    assert first.answer
    assert outbox.due(0.25) is None


def test_what_is_not_reported_is_under_way_as_long_as_answers_take_and_some_patience() -> None:
    config = PaceConfig(rate=256_000, chunk=1000, window=1000, patience=0.1, unknown=0.5)
    outbox = ReferenceOutbox(config)
    outbox.add(0, CHUNKS)
    assert outbox.due(1.0) is not None
    assert outbox.next_due() == pytest.approx(1.6)
    assert outbox.due(1.59) is None
    assert outbox.due(1.61) is not None
    outbox.arrived(0, 1, 1.66)
    assert outbox.due(1.7) is not None
    assert outbox.next_due() == pytest.approx(1.7 + 0.05 + 0.1)


def test_chunks_leave_when_they_can_be_through_before_the_next_motion() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.expect(0.12)
    outbox.motion(105, 1.0)  # 200 bytes on the wire: 20 ms
    assert outbox.next_due() == pytest.approx(1.02)
    assert outbox.due(1.02) is not None
    outbox.motion(105, 1.12)
    assert outbox.next_due() == pytest.approx(1.14)
    assert outbox.due(1.16) is None  # 20 ms too late: motion would wait for longer than SLACK
    outbox.motion(105, 1.24)
    assert outbox.due(1.26) is not None


def test_chunks_wait_for_motion_that_is_late_but_not_for_long() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.expect(0.12)
    outbox.motion(105, 1.0)
    assert outbox.due(1.1) is None
    assert outbox.due(1.13) is None
    assert outbox.next_due() == pytest.approx(1.12 + GRACE)
    assert outbox.due(1.12 + GRACE) is not None


def test_a_chunk_is_weighed_at_the_moment_when_it_would_leave() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.expect(0.12)
    outbox.motion(105, 1.0)  # the bottleneck is free from 1.02 on
    outbox.add(0, CHUNKS)
    assert outbox.due(1.11) is None


def test_chunks_that_never_fit_leave_right_after_motion() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.expect(0.08)
    outbox.motion(105, 1.0)
    assert outbox.next_due() == pytest.approx(1.02)
    assert outbox.due(1.05) is None
    outbox.motion(105, 1.08)
    assert outbox.due(1.1) is not None


def test_chunks_leave_time_for_acknowledgements() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.answered(0.05, 1.0)
    assert outbox.due(1.04) is None
    assert outbox.next_due() == pytest.approx(1.05)


def test_motion_that_comes_less_often_leaves_more_time() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.expect(0.08)
    outbox.motion(105, 1.0)
    assert outbox.due(1.05) is None
    outbox.expect(0.16)
    assert outbox.due(1.05) is not None


def test_motion_that_stopped_holds_nothing_back() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.expect(0.08)
    outbox.motion(105, 1.0)
    assert [index for _, index in drain(outbox, 5.0)] == [0, 1, 2, 3]


def test_a_full_path_holds_chunks_back() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.hold_until = 5.0
    assert outbox.due(4.9) is None
    assert outbox.due(5.0) == CHUNKS[0]


def test_what_has_arrived_is_not_sent_to_the_end() -> None:
    outbox = ReferenceOutbox(PACE)
    outbox.add(0, CHUNKS)
    outbox.add(1, CHUNKS)
    outbox.due(0.0)
    outbox.settled(0)
    assert [number for _, number in drain(outbox, 1.0)] == [0, 1, 2, 3]


def test_the_pace_stays_within_its_bounds() -> None:
    outbox = ReferenceOutbox(PaceConfig(rate=10_000, slowest=5_000, fastest=20_000))
    outbox.set_rate(1.0)
    assert outbox.rate == 5_000
    outbox.set_rate(1e9)
    assert outbox.rate == 20_000


@pytest.mark.parametrize("wrong", [{"slowest": 0.0}, {"rate": 1e9}, {"chunk": 49}, {"chunk": 1001}])
def test_a_wrong_pace_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected slowest"):
        PaceConfig(**wrong)  # type: ignore[arg-type]


def test_parity_grows_with_loss_and_is_bounded() -> None:
    assert parity_for(8, 0.0) == 0
    assert [parity_for(8, loss) for loss in (0.01, 0.05, 0.1, 0.3)] == [1, 3, 4, 5]
    assert parity_for(1, 0.9) == 1
    assert parity_for(64, 0.9) == 16


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.1])
def test_so_much_parity_makes_repairs_rare(loss: float) -> None:
    rng = random.Random(1)
    parity = parity_for(8, loss)
    lost = sum(sum(rng.random() < loss for _ in range(8 + parity)) > parity for _ in range(4000))
    assert lost / 4000 < 0.01


def test_chunks_are_small_where_motion_would_wait_long_behind_them() -> None:
    assert chunk_size(1e6, 0.12, 140, 450) == 450
    # 75 ms between motion packets, if half an acknowledgement passes with each.
    assert chunk_size(33_000, 0.12, 140, 450) == 213
    assert chunk_size(5_000, 0.12, 140, 450) == 150
    assert chunk_size(5_000, 0.12, 140, 100) == 100


REPAIR = RepairConfig(hole=0.02, tail=0.25, retry=0.3, attempts=3, pending=2)


def lacking(needed: int, absent: tuple[int, ...], coming: int) -> Missing:
    return Missing(needed, absent, coming)


def test_what_parity_cannot_repair_is_asked_for_soon() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.heard(5, lacking(3, (1, 2, 5), 1), 1.0)
    assert schedule.next_due() == pytest.approx(1.02)
    assert schedule.due(1.01) == []
    assert schedule.due(1.02) == [(5, (1, 2, 5))]


def test_what_parity_to_come_can_repair_is_waited_for() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.heard(5, lacking(2, (1, 4, 5, 6), 3), 1.0)
    assert schedule.due(1.2) == []
    assert schedule.due(1.26) == [(5, (1, 4))]


def test_one_more_than_needed_is_asked_for_when_many_are() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.heard(5, lacking(3, (1, 2, 3, 4, 5), 0), 1.0)
    assert schedule.due(1.1) == [(5, (1, 2, 3, 4))]


def test_the_tail_waits_longer_where_the_pace_is_slow() -> None:
    schedule = RepairSchedule(REPAIR)
    for number in range(4):
        left = 11 - number
        schedule.heard(5, lacking(left - 2, tuple(range(number + 1, 12)), left), number * 0.5)
    # Two may get lost, each of which would have taken half a second.
    assert schedule.next_due() == pytest.approx(1.5 + (1.5 + 2) * 0.5)


def test_what_the_sender_has_yet_to_send_at_its_pace_is_not_asked_for() -> None:
    schedule = RepairSchedule(REPAIR)

    def hear(sequence: int, begin: float) -> None:
        now = begin
        for number in range(5):
            left = 5 - number
            schedule.heard(sequence, lacking(left, tuple(range(number + 1, 6)), left), now)
            assert schedule.due(now) == []
            now += (0.1, 0.5)[number % 2]  # between some motion packets, not between all
        schedule.complete(sequence)

    hear(5, 0.0)
    hear(6, 2.0)
    schedule.heard(7, lacking(5, (1, 2, 3, 4, 5), 5), 9.0)
    assert schedule.next_due() == pytest.approx(9.0 + 1.5 * 0.5)


def test_where_the_pace_is_known_to_be_fast_the_tail_is_asked_for_sooner() -> None:
    schedule = RepairSchedule(REPAIR)
    for number in range(9):
        schedule.heard(5, lacking(9 - number, tuple(range(number, 9)), 9 - number), 0.04 * number)
    assert schedule.next_due() == pytest.approx(8 * 0.04 + REPAIR.least)


def test_a_request_is_repeated_when_repairs_would_have_come_through_path_and_queue() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.heard(5, lacking(2, (1, 2), 0), 0.0)
    assert schedule.due(0.02) == [(5, (1, 2))]
    schedule.heard(5, lacking(1, (2,), 0), 0.82)
    assert schedule.due(1.21) == []
    assert schedule.due(1.23) == [(5, (2,))]
    schedule.complete(5)
    schedule.heard(6, lacking(1, (2,), 0), 3.0)
    assert schedule.due(3.02) == [(6, (2,))]
    assert schedule.next_due() == pytest.approx(3.02 + 1.5 * 0.8)


def test_requests_repeat_until_a_reference_is_given_up() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.wanted(9, 0.0)
    asked = [time / 100 for time in range(200) if schedule.due(time / 100)]
    assert asked == pytest.approx([0.25, 0.55, 0.85], abs=0.011)
    assert schedule.given_up == 1
    assert schedule.next_due() is None


def test_a_request_is_not_repeated_because_a_chunk_came() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.heard(5, lacking(2, (1, 2), 0), 0.0)
    assert schedule.due(0.05) == [(5, (1, 2))]
    schedule.heard(5, lacking(1, (2, 7), 0), 0.1)
    assert schedule.due(0.34) == []
    assert schedule.due(0.36) == [(5, (2, 7))]  # one to spare, the second time


def test_what_is_complete_is_asked_for_no_more() -> None:
    schedule = RepairSchedule(REPAIR)
    schedule.wanted(5, 0.0)
    schedule.complete(5)
    assert schedule.due(9.0) == []


def test_the_oldest_repair_gives_way() -> None:
    schedule = RepairSchedule(REPAIR)
    for sequence in range(3):
        schedule.wanted(sequence, 0.0)
    assert schedule.given_up == 1
    assert [sequence for sequence, _ in schedule.due(1.0)] == [1, 2]


def test_chunks_are_what_the_parser_takes() -> None:
    assert all(Chunk.parse(chunk.serialize()) == chunk for chunk in CHUNKS)
