# SPDX-License-Identifier: Apache-2.0
"""``talkcodec call --web`` as people run it, without a browser."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from typer.testing import CliRunner

from talkcodec.cli.main import app
from tests.web.served import Client, program


async def test_two_commands_call_each_other_by_two_lines() -> None:
    command = ("call", "--web", "--web-port", "0")
    says = r"open (http://127\.0\.0\.1:\d+/#\S+) in a browser"
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        here, there = [
            await enter(Client(await enter(program(*command, says=says)))) for _ in range(2)
        ]
        mine, theirs = await here.wire(), await there.wire()
        for wire, answers in ((mine, False), (theirs, True)):
            await wire.send_json({"type": "meet", "place": "paste", "room": "", "answers": answers})
        line = (await here.hear(mine, lambda found: bool(found.get("line"))))["line"]
        await theirs.send_json({"type": "line", "text": line})
        line = (await there.hear(theirs, lambda found: bool(found.get("line"))))["line"]
        await mine.send_json({"type": "line", "text": line})
        words = [
            (await client.hear(wire, lambda found: bool(found.get("words"))))["words"]
            for client, wire in ((here, mine), (there, theirs))
        ]
        assert words[0] == words[1]
        await mine.send_json({"type": "leave"})
        found = await there.hear(theirs, lambda found: found.get("phase") == "idle")
        assert found["told"].startswith("the other side left")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--room", "a-b-c-d"], "expected a rendezvous server for a room, found paste"),
        (["--stun", "http://x"], "expected stun:HOST[:PORT], found http://x"),
    ],
)
def test_what_cannot_be_is_told_before_a_page_is_served(options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["call", "--web", "--web-port", "0", *options])
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr
