# SPDX-License-Identifier: Apache-2.0
"""What a page may say, and what it may not."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import InputError
from talkcodec.rtc.signaling.protocol import MAX_MESSAGE
from talkcodec.web.messages import (
    MAX_LOSS,
    Leave,
    Line,
    Loss,
    Mark,
    Media,
    Meet,
    Message,
    Mute,
    Video,
    decode,
)

ALL: list[Message] = [
    Media("v=0"),
    Meet("wss://example.org", "", answers=False),
    Line("talkcodec1:abc"),
    Leave(),
    Mute(on=True),
    Mark(on=False),
    Video(on=True),
    Loss(0.3),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("message", ALL, ids=lambda message: message.name)
def test_what_is_said_is_understood(message: Message) -> None:
    assert decode(json.dumps({"type": message.name, **asdict(message)})) == message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a JSON object"),
        ("[]", "expected a type of"),
        ("[" * 20_000, "expected a JSON object"),
        ('{"type": ["mute"]}', "expected a type of"),
        ('{"type": "rm"}', "expected a type of"),
        ('{"type": "mute"}', "expected the fields of mute"),
        ('{"type": "mute", "on": true, "x": 1}', "expected the fields of mute"),
        ('{"type": "mute", "on": 1}', "expected a on that fits"),
        ('{"type": "loss", "part": true}', "expected a part that fits"),
        ('{"type": "loss", "part": NaN}', "expected a part that fits"),
        ('{"type": "loss", "part": 1e999}', "expected a part that fits"),
        ('{"type": "loss", "part": -0.1}', "expected a part that fits"),
        (f'{{"type": "loss", "part": {MAX_LOSS + 0.01}}}', "expected a part that fits"),
        ('{"type": "line", "text": "a\\nb"}', "expected a text that fits"),
        ('{"type": "line", "text": "\\u001b[2J"}', "expected a text that fits"),
        ('{"type": "meet", "place": "ü", "room": "", "answers": false}', "expected a place"),
        (json.dumps({"type": "media", "sdp": "v" * 20_001}), "expected a sdp that fits"),
        ('"' + "x" * MAX_MESSAGE, "expected a message of"),
    ],
)
def test_what_is_none_is_told_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(text)
    assert str(caught.value).startswith(reason)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@given(text=st.text(max_size=200))
def test_any_text_gives_a_message_or_an_error(text: str) -> None:
    with pytest.raises(InputError):
        decode(text)


@given(name=st.sampled_from([message.name for message in ALL]), fields=json_values)
def test_any_fields_give_a_message_or_an_error(name: str, fields: object) -> None:
    content = fields if isinstance(fields, dict) else {"on": fields, "part": fields}
    try:
        found = decode(json.dumps({**content, "type": name}))
    except InputError as error:
        assert str(error)  # noqa: PT017  either is right
    else:
        assert found.name == name
