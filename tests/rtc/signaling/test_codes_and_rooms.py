# SPDX-License-Identifier: Apache-2.0
"""Room codes, and rooms on a clock that the test moves."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import SignalingError
from talkcodec.rtc.sas import word_list
from talkcodec.rtc.signaling.backoff import Backoff
from talkcodec.rtc.signaling.codes import new_code, parse_code
from talkcodec.rtc.signaling.gate import origin
from talkcodec.rtc.signaling.inbox import CAPACITY, Inbox
from talkcodec.rtc.signaling.protocol import Offer, Ready, Renew, decode, encode
from talkcodec.rtc.signaling.rooms import RoomLimits, RoomRefused, Rooms

T = TypeVar("T")


def test_codes_are_new_each_time_and_read_back() -> None:
    codes = {new_code() for _ in range(50)}
    assert len(codes) == 50
    for code in codes:
        assert parse_code(code) == code
        assert parse_code(f"  {code.upper().replace('-', ', ')}. ") == code


def test_words_that_are_the_beginning_of_others_are_themselves() -> None:
    whole = [word for word in word_list() if any(o != word and o.startswith(word) for o in WORDS)]
    assert whole
    for word in whole:
        assert parse_code("-".join([word] * 4)) == "-".join([word] * 4)


WORDS = word_list()


def one_line(read: Callable[[str], T], text: str) -> T | None:
    """Return what ``read`` makes of ``text``; an error must be of the right kind and one line."""
    told = ""
    try:
        return read(text)
    except SignalingError as error:
        told = str(error)
    assert told
    assert "\n" not in told
    return None


@settings(deadline=None)
@given(st.text(max_size=120))
def test_any_text_is_a_code_or_one_line_of_error(text: str) -> None:
    code = one_line(parse_code, text)
    assert code is None or code.count("-") == 3


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), JSON.map(json.dumps)))
def test_any_text_is_a_message_or_one_line_of_error(text: str) -> None:
    message = one_line(decode, text)
    assert message is None or decode(encode(message)) == message


@settings(deadline=None)
@given(
    st.sampled_from(["offer", "answer", "renew", "bye", "join", "seated", "refused"]),
    st.dictionaries(
        st.sampled_from(["sdp", "attempt", "proof", "reason", "room", "token", "offers", "retry"]),
        st.one_of(st.text(max_size=130), st.integers(), st.booleans(), st.none()),
        max_size=3,
    ),
)
def test_any_fields_are_a_message_or_one_line_of_error(
    name: str, content: dict[str, object]
) -> None:
    message = one_line(decode, json.dumps({"type": name, **content}))
    assert message is None or decode(encode(message)) == message


def test_a_room_seats_two_and_each_comes_back_by_token() -> None:
    rooms = Rooms()
    one = rooms.create("a", 0.0)
    two = rooms.join(one.code, "", "b", 1.0)
    assert (one.offers, two.offers) == (True, False)
    assert rooms.join(one.code, two.token, "c", 2.0) == two
    with pytest.raises(RoomRefused):
        rooms.join(one.code, "", "d", 3.0)
    rooms.end(one.code)
    assert not rooms.relay(one, 4.0)
    with pytest.raises(RoomRefused):
        rooms.join(one.code, one.token, "a", 5.0)


def test_rooms_are_forgotten_sooner_while_they_wait() -> None:
    limits = RoomLimits(waiting=10.0, idle=100.0)
    rooms = Rooms(limits)
    waiting, full = rooms.create("a", 0.0), rooms.create("b", 0.0)
    rooms.join(full.code, "", "c", 1.0)
    assert rooms.expire(9.0) == []
    assert rooms.expire(11.0) == [waiting.code]
    assert rooms.relay(full, 50.0)
    assert rooms.expire(140.0) == []
    assert rooms.expire(151.0) == [full.code]
    assert len(rooms) == 0


def test_one_address_opens_few_rooms() -> None:
    rooms = Rooms()
    opened = 0
    for _ in range(100):
        try:
            rooms.create("a", 0.0)
        except RoomRefused:
            continue
        opened += 1
    assert opened == 10
    rooms.create("b", 0.0)


def test_many_addresses_guessing_leave_bounded_memory() -> None:
    rooms = Rooms(RoomLimits(addresses=100))
    for number in range(1000):
        with pytest.raises(RoomRefused):
            rooms.join("zoo-zoo-zoo-zoo", "", f"address {number}", number * 1e-3)
    assert len(rooms._guesses) == 100


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("somewhere", "unknown"),
    ],
)
def test_one_user_is_one_origin(host: str | None, expected: str) -> None:
    assert origin(host) == expected


def test_waits_grow_and_differ() -> None:
    rng = random.Random(0)
    waits = [Backoff(0.5, 15.0).wait(failures, rng) for failures in range(1, 12)]
    for place, wait in enumerate(waits):
        whole = min(0.5 * 2**place, 15.0)
        assert whole / 2 <= wait <= whole
    assert Backoff().wait(10_000, rng) <= 15.0


async def test_an_inbox_drops_the_oldest() -> None:
    inbox = Inbox()
    inbox.put(Ready())
    for attempt in range(1, CAPACITY + 1):
        inbox.put(Offer("v=0", attempt))
    inbox.fail(SignalingError("over"))
    assert [await inbox.take() for _ in range(CAPACITY)] == [
        Offer("v=0", attempt) for attempt in range(1, CAPACITY + 1)
    ]
    assert inbox.dropped == 1
    with pytest.raises(SignalingError, match="over"):
        await inbox.take()
    inbox.put(Renew())
    assert await inbox.take() == Renew()
