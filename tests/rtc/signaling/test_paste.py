# SPDX-License-Identifier: Apache-2.0
"""Lines that people carry, whole, cut, changed and invented."""

from __future__ import annotations

import asyncio
import base64
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import SignalingError
from talkcodec.rtc.guard import MAX_CHARACTERS
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.signaling.paste import (
    MAX_LINE,
    PREFIX,
    LineReader,
    PasteSignaling,
    from_line,
    to_line,
)
from talkcodec.rtc.signaling.protocol import Answer, Offer, Ready


def packed(body: bytes, head: bytes = b"\x01\x00\x01") -> str:
    """Return a line with a right checksum around anything."""
    check = zlib.crc32(head + body).to_bytes(4, "big")
    return PREFIX + base64.urlsafe_b64encode(check + head + body).decode().rstrip("=")


TEXT = st.text(st.characters(min_codepoint=10, max_codepoint=126), min_size=1, max_size=3000)


@settings(deadline=None)
@given(TEXT, st.integers(1, 65_535), st.sampled_from((Offer, Answer)))
def test_a_line_brings_back_what_was_put_in(
    sdp: str, attempt: int, kind: type[Offer | Answer]
) -> None:
    message = kind(sdp, attempt)
    line = to_line(message)
    assert "\n" not in line
    assert line.isascii()
    assert from_line(f"  {line}\r\n") == message


@settings(deadline=None)
@given(st.data())
def test_a_line_that_was_changed_is_told(data: st.DataObject) -> None:
    line = to_line(Offer("v=0\r\na=candidate 192.0.2.1\r\n" * 3))
    place = data.draw(st.integers(len(PREFIX), len(line) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019-_"))
    changed = line[:place] + letter + line[place + 1 :]
    if changed != line:
        with pytest.raises(SignalingError, match="copied whole"):
            from_line(changed)
    with pytest.raises(SignalingError, match="copied whole"):
        from_line(line[:place])


@settings(deadline=None)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(packed)))
def test_any_line_gives_a_message_or_one_line_of_error(text: str) -> None:
    told = ""
    try:
        from_line(text)
    except SignalingError as error:
        told = str(error)
    assert told.isprintable()


def test_a_line_that_would_swell_to_gigabytes_is_not_inflated() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(b"v" * 5_000_000) + deflate.flush()
    line = packed(body)
    assert len(line) < MAX_LINE
    with pytest.raises(SignalingError, match=f"more than {MAX_CHARACTERS} characters"):
        from_line(line)


async def test_real_descriptions_fit_one_line_of_a_terminal() -> None:
    peer = Peer(lambda _channel, _data: None)
    line = to_line(Offer(await peer.offer()))
    await peer.close()
    # Linux gives a program 4095 characters of a line at most. A candidate takes about 60.
    assert len(line) < 2000


async def test_two_ends_carry_lines_and_complain_of_others() -> None:
    reading, writing = os.pipe()
    shown: list[str] = []
    complaints: list[str] = []
    one = PasteSignaling(offers=True, show=shown.append, complain=complaints.append, source=reading)
    assert await one.receive() == Ready()
    await one.send(Offer("v=0"))
    assert shown == [to_line(Offer("v=0"))]
    # Their own line by mistake, half of the right one, and the right one.
    right = to_line(Answer("v=0"))
    os.write(writing, f"\n{shown[0]}\n{right[:20]}\n{right}\n".encode())
    assert await one.receive() == Answer("v=0")
    assert complaints == [
        "expected the other side's answer, found an offer",
        "expected a line copied whole, found one that was cut or changed",
    ]
    waiting = asyncio.create_task(one.receive())
    await asyncio.sleep(0)
    os.close(writing)
    with pytest.raises(SignalingError, match="expected a line of the other side, found the end"):
        await waiting
    await one.close()
    os.close(reading)


async def test_a_line_without_end_is_cut(tmp_path: object) -> None:
    path = f"{tmp_path}/lines"
    with open(path, "wb") as file:  # noqa: ASYNC230, PTH123  a file that is no terminal
        file.write(b"x" * (3 * MAX_LINE) + b"\nlast")
    source = os.open(path, os.O_RDONLY)
    reader = LineReader(source)
    lines = []
    while (line := await reader.read()) is not None:
        lines.append(line)
        assert len(reader._held) <= MAX_LINE + 4096
    os.close(source)
    assert lines[-1] == "last"
    assert max(map(len, lines)) <= MAX_LINE + 4096
    assert sum(map(len, lines)) == 3 * MAX_LINE + 4
