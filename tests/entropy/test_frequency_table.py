# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from talkcodec.entropy import PRECISION, FrequencyTable, build_table, laplace_table

TOTAL = 1 << PRECISION


@pytest.mark.parametrize(
    ("minimum", "counts"),
    [
        (0, (TOTAL,)),
        (0, (TOTAL, 0)),
        (0, (TOTAL - 2, 1)),
        (0, (TOTAL + 1, -1)),
        (0, (1,) * 1024 + (TOTAL - 1024,)),
        (-40000, (TOTAL - 1, 1)),
        (32767, (TOTAL - 2, 1, 1)),
    ],
)
def test_refuses_what_is_no_table(minimum: int, counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        FrequencyTable(minimum, counts)


def test_bits_count_the_escape_code() -> None:
    table = FrequencyTable(-1, (4096, 8192, 4095, 1))
    assert table.maximum == 1
    assert table.bits(0) == 1
    assert table.bits(-1) == 2
    # Escape (14 bits), side (1), then Exp-Golomb: 1 bit for distance 1, 3 for 2 and 3, 5 for 4.
    assert [table.bits(value) for value in (2, -2, 3, 4, 5)] == [16, 16, 18, 18, 20]


def test_model_has_exactly_the_tables_probabilities() -> None:
    """A constriction model shows its edges through what a decoder finds at each code value."""
    import constriction

    table = FrequencyTable(0, (1, 3, TOTAL - 9, 4, 1))
    edges = np.cumsum([0, *table.counts])
    for slot in range(len(table.counts)):
        for cumulative, inside in ((edges[slot], slot), (edges[slot + 1] - 1, slot)):
            # A fresh decoder's range is 2**64 - 1, so its scale is 2**40 - 1.
            for fine in (0, 1023):
                point = (int(cumulative) * 1024 + fine) * (2**40 - 1)
                words = np.array([point >> 32, point & 0xFFFFFFFF], dtype=np.uint32)
                decoder = constriction.stream.queue.RangeDecoder(words)
                assert decoder.decode(table.model) == inside


def test_build_is_close_to_the_entropy_of_its_samples() -> None:
    random = np.random.default_rng(1)
    train, test = (np.rint(random.laplace(0, 3, 4000)).astype(int) for _ in range(2))
    table = build_table(train)
    counts = np.bincount(test - test.min()) / len(test)
    entropy = -sum(p * np.log2(p) for p in counts if p)
    assert np.mean([table.bits(int(value)) for value in test]) < entropy + 0.05


def test_build_keeps_unseen_values_affordable() -> None:
    table = build_table([0] * 500 + [1] * 200 + [-1] * 200)
    assert table.bits(3) < 16
    assert table.bits(5000) < 48
    assert table.bits(0) < 1.1


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [7],
        [5] * 1000,
        [0] * 1000 + [30000],
        [-(2**40), 2**40],
        np.zeros((0, 3)),
        [[1, 2], [3, 4]],
    ],
)
def test_build_takes_any_samples(samples: object) -> None:
    table = build_table(np.array(samples, dtype=np.int64))
    assert sum(table.counts) == TOTAL
    assert min(table.counts) >= 1


def test_build_prefers_what_it_saw() -> None:
    table = build_table([4] * 900 + [9] * 90)
    assert table.bits(4) < table.bits(9) < table.bits(6)


def test_build_bounds_its_slots() -> None:
    table = build_table(np.arange(-3000, 3000), slots=65)
    assert len(table.counts) <= 65
    assert table.minimum < 0 < table.maximum


def test_build_has_the_tail_of_its_samples() -> None:
    random = np.random.default_rng(2)
    light = build_table(np.rint(random.laplace(0, 2, 3000)).astype(int))
    heavy = build_table(np.rint(random.standard_t(1.5, 3000) * 2).astype(int))
    assert heavy.bits(60) < light.bits(60)


def test_laplace_is_symmetric_and_narrows() -> None:
    table = laplace_table(1.5, 20)
    assert (table.minimum, table.maximum) == (-20, 20)
    assert abs(table.bits(4) - table.bits(-4)) < 0.1
    assert laplace_table(0.5, 20).bits(0) < table.bits(0) < laplace_table(6, 20).bits(0)
