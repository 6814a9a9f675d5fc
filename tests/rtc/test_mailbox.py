# SPDX-License-Identifier: Apache-2.0
"""The bounded queue between threads."""

from __future__ import annotations

import threading

import pytest

from talkcodec.rtc.mailbox import Mailbox


def test_the_oldest_item_gives_way_and_is_counted() -> None:
    box: Mailbox[int] = Mailbox(2)
    for number in range(5):
        box.put(number)
    assert (box.take(0), box.take(0), box.take(0)) == (3, 4, None)
    assert box.dropped == 3


def test_one_slot_keeps_the_latest() -> None:
    box: Mailbox[str] = Mailbox()
    box.put("old")
    box.put("new")
    assert box.take(0) == "new"


def test_items_inside_survive_closing_and_later_ones_do_not() -> None:
    box: Mailbox[int] = Mailbox(4)
    box.put(1)
    box.close()
    box.put(2)
    states = [(box.closed, box.take()) for _ in range(2)]
    assert states == [(False, 1), (True, None)]


def test_closing_wakes_a_waiting_thread() -> None:
    box: Mailbox[int] = Mailbox()
    taken: list[int | None] = []
    waiter = threading.Thread(target=lambda: taken.append(box.take(10.0)))
    waiter.start()
    box.close()
    waiter.join(5.0)
    assert taken == [None]


def test_no_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a capacity of 1 or more, found 0"):
        Mailbox(0)
