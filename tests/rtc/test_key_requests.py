# SPDX-License-Identifier: Apache-2.0
"""When a receiver's requests are worth a key reference, on times that the test chooses."""

from __future__ import annotations

import pytest

from talkcodec.rtc.requests import MIN_DISTANCE, PATIENCE, KeyRequests, PictureRequests


def asked(keys: KeyRequests, *, start: float, end: float, rtt: float = 0.05) -> list[float]:
    """Ask every 0.1 s from ``start`` up to ``end``; return when a key was granted."""
    granted = []
    for step in range(round((end - start) * 10)):
        now = start + step / 10
        keys.ask(now)
        if keys.take(now, rtt):
            granted.append(round(now, 1))
    return granted


def test_one_request_is_one_grant() -> None:
    keys = KeyRequests()
    assert not keys.take(0.0, 0.05)
    keys.ask(0.0)
    assert keys.take(0.0, 0.05)
    assert not keys.take(9.0, 0.05)


def test_while_a_key_is_under_way_requests_change_nothing() -> None:
    keys = KeyRequests()
    assert asked(keys, start=0.0, end=3.0) == [0.0]
    keys.sent(7)
    assert asked(keys, start=3.0, end=6.0) == []
    keys.settled(7)
    assert not keys.take(6.0, 0.05)


def test_a_key_picture_of_video_answers_a_request_and_the_next_one_is_heard() -> None:
    keys = KeyRequests()
    assert asked(keys, start=0.0, end=0.5) == [0.0]
    keys.answered()
    assert asked(keys, start=0.5, end=2.0) == [MIN_DISTANCE]
    keys.sent(7)
    keys.answered()  # a reference under way is another matter
    assert asked(keys, start=2.0, end=4.0) == []


def test_a_key_that_nobody_asked_for_answers_requests_too() -> None:
    keys = KeyRequests()
    keys.sent(0)
    assert asked(keys, start=0.0, end=2.0) == []
    keys.settled(3)  # another reference
    assert asked(keys, start=2.0, end=3.0) == []
    keys.settled(0)
    assert asked(keys, start=3.0, end=3.1) == [3.0]


@pytest.mark.parametrize(("rtt", "distance"), [(0.05, MIN_DISTANCE), (1.5, 3.0)])
def test_keys_keep_a_distance_and_the_request_between_them_is_kept(
    rtt: float, distance: float
) -> None:
    keys = KeyRequests()
    keys.ask(10.0)
    assert keys.take(10.0, rtt)
    keys.sent(1)
    keys.settled(1)
    keys.ask(10.2)
    assert not keys.take(10.0 + distance - 0.01, rtt)
    assert keys.take(10.0 + distance, rtt)


def test_a_key_that_never_arrives_does_not_silence_the_receiver_for_ever() -> None:
    keys = KeyRequests()
    keys.sent(1)
    assert asked(keys, start=100.0, end=100.0 + PATIENCE + 1) == [100.0 + PATIENCE]


def test_key_pictures_wait_for_no_reference_and_keep_a_distance() -> None:
    pictures = PictureRequests()
    granted = []
    for step in range(25):
        pictures.ask()
        if pictures.take(step / 10, 0.05):
            granted.append(step / 10)
    assert granted == [0.0, MIN_DISTANCE, 2 * MIN_DISTANCE]
    pictures.sent()  # the regular one came first
    assert not pictures.take(9.0, 0.05)
