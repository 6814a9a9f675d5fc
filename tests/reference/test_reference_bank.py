# SPDX-License-Identifier: Apache-2.0
"""The bank holds what it was given, in the slots it was told, and never more than eight."""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec.errors import BitstreamError, MissingReference
from talkcodec.reference import MAX_SLOTS, Bank, BankedReference


def reference(sequence: int) -> BankedReference:
    picture = np.full((2, 2, 3), sequence, np.uint8)
    return BankedReference(
        sequence, 10 * sequence, picture, (sequence, -sequence), np.zeros((478, 2), np.float32)
    )


def test_put_and_get() -> None:
    bank = Bank(2)
    one, two = reference(1), reference(2)
    bank.put(0, one)
    bank.put(1, two)
    assert bank.get(1) is one
    assert bank.at(1) is two
    assert bank.states() == {1: (1, -1), 2: (2, -2)}
    assert (len(bank), bank.slots, 1 in bank, 3 in bank) == (2, 2, True, False)
    assert [held.sequence for held in bank] == [1, 2]


def test_a_slot_is_replaced() -> None:
    bank = Bank(2)
    bank.put(0, reference(1))
    bank.put(0, reference(2))
    with pytest.raises(MissingReference, match=r"expected reference 1 in the bank, found \[2\]"):
        bank.get(1)


def test_a_repeated_number_names_the_newest_only() -> None:
    bank = Bank(3)
    bank.put(0, reference(7))
    newer = reference(7)
    bank.put(2, newer)
    assert bank.get(7) is newer
    assert bank.at(0) is None


@pytest.mark.parametrize("slot", [-1, 2, 255])
def test_slots_outside_are_refused(slot: int) -> None:
    with pytest.raises(BitstreamError, match="slot below 2"):
        Bank(2).put(slot, reference(1))


@pytest.mark.parametrize("slots", [0, MAX_SLOTS + 1])
def test_bank_sizes_outside_are_refused(slots: int) -> None:
    with pytest.raises(BitstreamError, match="1 to 8 slots"):
        Bank(slots)


def test_clear_forgets() -> None:
    bank = Bank()
    for sequence in range(20):
        bank.put(sequence % MAX_SLOTS, reference(sequence))
    assert len(bank) == MAX_SLOTS
    bank.clear()
    assert len(bank) == 0
    assert str(bank) == "[]"


def test_what_was_used_last_goes_last() -> None:
    bank = Bank(2)
    assert bank.free_slot({}) == 0
    bank.put(0, reference(5))
    assert bank.free_slot({5: 100}) == 1
    bank.put(1, reference(6))
    assert bank.free_slot({5: 100, 6: 90}) == 1
    assert bank.free_slot({5: 100, 6: 110}) == 0
    assert bank.free_slot({6: 110}) == 0  # never used
