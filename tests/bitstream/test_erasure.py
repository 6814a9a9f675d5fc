# SPDX-License-Identifier: Apache-2.0
"""The erasure code, against a decoder that knows nothing but the definition in FORMAT.md."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from talkcodec.bitstream.erasure import add_parity, recover


def multiply(a: int, b: int) -> int:
    """Multiply in GF(256), bit by bit, modulo 0x11D."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def remainder(data: list[int], parity: int) -> list[int]:
    """Divide as FORMAT.md section 9 says."""
    generator = [1]
    root = 1
    for _ in range(parity):
        shifted, scaled = [*generator, 0], [0, *(multiply(root, c) for c in generator)]
        generator = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
        root = multiply(root, 2)
    rest = data + [0] * parity
    for place in range(len(data)):
        factor = rest[place]
        for step, coefficient in enumerate(generator):
            rest[place + step] ^= multiply(factor, coefficient)
    return rest[len(data) :]


@pytest.mark.parametrize(("count", "parity"), [(1, 1), (5, 2), (17, 3), (64, 16)])
def test_parity_is_the_remainder_of_the_document(count: int, parity: int) -> None:
    pieces = [Random(index).randbytes(20) for index in range(count)]
    expected = [remainder([piece[b] for piece in pieces], parity) for b in range(20)]
    found = add_parity(pieces, parity)
    assert [[piece[b] for piece in found] for b in range(20)] == expected


@pytest.mark.parametrize(("count", "parity"), [(1, 2), (4, 3), (6, 2)])
def test_every_way_to_lose_as_many_as_there_is_parity(count: int, parity: int) -> None:
    pieces = [Random(index).randbytes(9) for index in range(count)]
    every = dict(enumerate(pieces + add_parity(pieces, parity)))
    for kept in combinations(every, count):
        assert recover({index: every[index] for index in kept}, count, parity) == pieces


def test_too_few_pieces_are_an_error() -> None:
    every = dict(enumerate([b"ab", b"cd", *add_parity([b"ab", b"cd"], 1)]))
    with pytest.raises(ValueError, match="expected 2 pieces, found 1"):
        recover({2: every[2]}, 2, 1)


def test_sizes_and_numbers_are_bounded() -> None:
    for pieces, parity in (([], 1), ([b"a"] * 65, 1), ([b"a"], 17), ([b"a", b"bc"], 1)):
        with pytest.raises(ValueError, match="expected"):
            add_parity(pieces, parity)
