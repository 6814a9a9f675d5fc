# SPDX-License-Identifier: Apache-2.0
"""Who is let in, by what a request says of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.web.door import PROTOCOL, Door, headers

PORT = 8767
HERE = f"127.0.0.1:{PORT}"


@pytest.fixture
def door() -> Door:
    made = Door()
    made.stands_at(PORT)
    return made


@pytest.mark.parametrize(
    ("found", "loads", "sends"),
    [
        ({"Host": HERE}, True, False),
        ({"Host": f"localhost:{PORT}"}, True, False),
        ({"Host": HERE, "Origin": f"http://{HERE}"}, True, True),
        ({"Host": HERE, "Sec-Fetch-Site": "same-origin"}, True, False),
        ({"Host": HERE, "Sec-Fetch-Site": "cross-site"}, False, False),
        ({"Host": HERE, "Sec-Fetch-Site": "same-site"}, False, False),
        ({"Host": HERE, "Origin": f"https://{HERE}"}, False, False),
        ({"Host": HERE, "Origin": f"http://localhost:{PORT}"}, False, False),
        ({"Host": HERE, "Origin": "http://evil.example"}, False, False),
        ({"Host": HERE, "Origin": "null"}, False, False),
        ({"Host": f"evil.example:{PORT}", "Origin": f"http://evil.example:{PORT}"}, False, False),
        ({"Host": "127.0.0.1:80"}, False, False),
        ({"Host": "127.0.0.1"}, False, False),
        ({"Host": f"{HERE}.evil.example"}, False, False),
        ({}, False, False),
    ],
)
def test_only_our_own_page_is_known(
    door: Door, found: dict[str, str], *, loads: bool, sends: bool
) -> None:
    assert door.knows(found, strict=False) is loads
    assert door.knows(found, strict=True) is sends


def test_a_door_that_stands_nowhere_knows_nobody() -> None:
    assert not Door().knows({"Host": HERE}, strict=False)


def test_the_token_opens_a_session_and_a_new_one_ends_it(door: Door) -> None:
    first = door.open(door.token)
    second = door.open(door.token)
    assert first != second
    assert not door.admits(f"{PROTOCOL}, session.{first}")
    assert door.admits(f"{PROTOCOL}, session.{second}")
    assert door.open("x") is None
    assert door.admits(f"{PROTOCOL}, session.{second}")  # guessing ends nobody's session


def test_before_the_first_session_nobody_is_admitted(door: Door) -> None:
    assert not door.admits(f"{PROTOCOL}, session.")
    assert not door.admits("")


@given(shown=st.text(max_size=80))
def test_nothing_but_the_session_admits(shown: str) -> None:
    door = Door()
    session = door.open(door.token)
    assert session is not None
    assert not door.admits(shown)
    assert not door.admits(f"{PROTOCOL}, session.{shown}")
    assert not door.admits(f"session.{session}, {shown}")
    assert not door.admits(f"{PROTOCOL}, session.{session}, session.{shown}")
    assert door.open(shown) is None


def test_tokens_cannot_be_guessed() -> None:
    tokens = {Door().token for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43  # 256 bits


def test_scripts_come_from_files_of_ours_alone() -> None:
    policy = headers(PORT)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
