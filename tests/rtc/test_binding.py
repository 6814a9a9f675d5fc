# SPDX-License-Identifier: Apache-2.0
"""The words two people compare, and where they come from."""

from __future__ import annotations

from collections import Counter

import pytest

from talkcodec.errors import SignalingError
from talkcodec.rtc.binding import binding
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.sas import WORDS, short_authentication_string, word_list


def test_words_do_not_depend_on_the_order_and_do_on_every_byte() -> None:
    one, two = bytes(range(200)), bytes(300)
    words = short_authentication_string(one, two)
    assert words == short_authentication_string(two, one)
    assert len(words.split()) == WORDS
    assert set(words.split()) <= set(word_list())
    for place in (0, 100, 199):
        bent = bytearray(one)
        bent[place] ^= 1
        assert short_authentication_string(bytes(bent), two) != words


def test_where_one_certificate_ends_matters() -> None:
    assert short_authentication_string(b"ab", b"c") != short_authentication_string(b"a", b"bc")


def test_words_are_spread_evenly() -> None:
    """33 bits are only worth something if all of them are used."""
    seen: Counter[str] = Counter()
    for number in range(6000):
        seen.update(short_authentication_string(number.to_bytes(4, "big"), b"x").split())
    assert len(seen) > 2030
    assert max(seen.values()) < 30  # 9 each on average


def test_the_list_is_the_one_that_people_know() -> None:
    words = word_list()
    assert (len(words), words[0], words[-1]) == (2048, "abandon", "zoo")
    assert len({word[:4] for word in words}) == 2048


async def test_a_connection_binds_both_ends_to_one_key() -> None:
    one, two = Peer(lambda _c, _d: None), Peer(lambda _c, _d: None)
    with pytest.raises(SignalingError, match="expected a connection that stands, found none"):
        binding(one._connection)
    await one.accept(await two.answer(await one.offer()))
    await one.opened()
    await two.opened()
    here, there = binding(one._connection), binding(two._connection)
    assert here.certificates == there.certificates[::-1]
    assert here.key == there.key
    assert len(here.key) == 32
    assert here.words == there.words
    await one.close()
    await two.close()
