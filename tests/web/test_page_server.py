# SPDX-License-Identifier: Apache-2.0
"""The server of the page: what it gives to whom, and what it does when it is told something."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from talkcodec.errors import InputError
from talkcodec.rtc.limits import Rate, TokenBucket
from talkcodec.rtc.signaling.choose import MeetingPlace
from talkcodec.web import server as module
from talkcodec.web.caller import CallPlan
from talkcodec.web.server import HOST, PAGE, PageServer
from tests.web.served import PATIENCE, Client, serving


def has(name: str, value: object) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found.get(name) == value


def tells(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: reason in found.get("text", "") or reason in found.get("told", "")


async def cut_off(wire: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read until the server hangs up; return the code that it gives."""
    async with asyncio.timeout(PATIENCE):
        while (await wire.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return wire.close_code


async def test_the_page_and_its_parts_are_served_and_nothing_else() -> None:
    async with serving() as server, Client(server) as client:
        page = await (await client.http.get(f"{client.base}/")).text()
        for name in re.findall(r'(?:src|href)="([a-z.]+)"', page):
            async with client.http.get(f"{client.base}/{name}") as response:
                assert response.status == 200
                assert await response.read() == (PAGE / name).read_bytes()
        for path in ("nothing.js", "__init__.py", "..%2fserver.py", "..%2f..%2f__init__.py", "%00"):
            url = f"{client.base}/{path}"
            async with client.http.get(URL(url, encoded=True)) as response:
                assert response.status == 404, path


async def test_every_answer_forbids_what_pages_should_not_do() -> None:
    async with serving() as server, Client(server) as client:
        for path in ("", "nothing", "wire"):
            async with client.http.get(f"{client.base}/{path}") as response:
                assert "script-src 'self';" in response.headers["Content-Security-Policy"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Cache-Control"] == "no-store"
                assert "Access-Control-Allow-Origin" not in response.headers
                assert "Server" not in response.headers
                assert "Set-Cookie" not in response.headers


def test_the_page_has_no_script_and_no_style_inside() -> None:
    page = (PAGE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
    for path in PAGE.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", path.read_text())
    assert re.findall(r"https?://(?!www\.w3\.org|\$)\S+", page) == []  # nobody else is asked


async def test_another_name_for_this_machine_gets_nothing() -> None:
    """DNS rebinding: a page of evil.example whose name points here now."""
    async with serving() as server, Client(server) as client:
        evil = {"Host": f"evil.example:{server.port}"}
        for path in ("", "app.js", "wire", "nothing"):
            async with client.http.get(f"{client.base}/{path}", headers=evil) as response:
                assert response.status == 421
        headers = evil | {"Origin": f"http://evil.example:{server.port}"}
        assert (await client.session(**headers)).status == 421
        assert (await client.session()).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
async def test_other_pages_cannot_open_a_session_or_a_wire(origin: str | None) -> None:
    async with serving() as server, Client(server) as client:
        headers = {} if origin is None else {"Origin": origin}
        body = {"token": client.token}
        url = f"{client.base}/session"
        async with client.http.post(url, json=body, headers=headers) as response:
            assert response.status == 421
        session = (await (await client.session()).json())["session"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.http.ws_connect(
                f"{client.base}/wire",
                protocols=["talkcodec.1", f"session.{session}"],
                headers=headers,
            )
        assert refused.value.status == 421


async def test_a_preflight_gets_no_permission() -> None:
    async with serving() as server, Client(server) as client:
        headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        async with client.http.options(f"{client.base}/session", headers=headers) as response:
            assert response.status == 421
            assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_only_the_token_opens_a_session() -> None:
    async with serving() as server, Client(server) as client:
        for wrong in ("", "x", server.door.token[:-1], server.door.token + "x", "ü"):
            assert (await client.session(wrong)).status == 403
        assert (await client.session()).status == 200
        assert server.door.token in server.address
        async with client.http.get(f"{client.base}/wire", headers={"Origin": client.base}) as found:
            assert found.status == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 403),
        (b"[]", "application/json", 403),
        (b'{"token": 1}', "application/json", 403),
        (b"\xff", "application/json", 400),
        (b"[" * 4000, "application/json", 400),
        (b"x" * 5000, "application/json", 413),
        (b"{}", "text/plain", 415),  # what a form of another page could send
    ],
)
async def test_bodies_that_are_none(body: bytes, kind: str, status: int) -> None:
    async with serving() as server, Client(server) as client:
        headers = {"Origin": client.base, "Content-Type": kind}
        url = f"{client.base}/session"
        async with client.http.post(url, data=body, headers=headers) as response:
            assert response.status == status


async def test_guesses_and_requests_are_rationed() -> None:
    async with serving() as server, Client(server) as client:
        server._attempts = TokenBucket(Rate(1e-6, 3))
        assert [(await client.session("x")).status for _ in range(4)] == [403, 403, 403, 429]
        server._requests = TokenBucket(Rate(1e-6, 2))
        found = []
        for _ in range(3):
            async with client.http.get(client.base) as response:
                found.append(response.status)
        assert found == [200, 200, 429]


async def test_it_listens_at_loopback_only() -> None:
    async with serving() as server:
        assert HOST == "127.0.0.1"
        listening = server._listening
        assert listening is not None
        names = [each.getsockname()[0] for each in listening._server.sockets]
        assert names == [HOST]


async def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"found {HOST}:{port}"):
            await PageServer.open(CallPlan(MeetingPlace("paste")), port)


async def test_a_page_is_told_how_things_stand_and_changes_them() -> None:
    async with serving("wss://example.org") as server, Client(server) as client:
        wire = await client.wire()
        hello = await client.hear(wire, lambda found: found["type"] == "hello")
        assert hello["place"] == "wss://example.org"
        assert hello["h264"]["payload"] > 0
        state = await client.hear(wire, lambda found: found["type"] == "state")
        assert (state["phase"], state["muted"], state["mark"], state["loss"]) == (
            "idle",
            False,
            True,
            0.0,
        )
        await client.hear(wire, lambda found: found["type"] == "figures")
        for say, what, value in (
            ({"type": "mute", "on": True}, "muted", True),
            ({"type": "mark", "on": False}, "mark", False),
            ({"type": "video", "on": True}, "video", True),
            ({"type": "loss", "part": 0.3}, "loss", 0.3),
        ):
            await wire.send_json(say)
            await client.hear(wire, has(what, value))
        assert server.caller._wire.config.loss == 0.3
        await wire.close()


async def test_a_call_that_cannot_be_is_told_of() -> None:
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        for place, room, reason in (
            ("carrier-pigeon", "", "expected paste, ws://"),
            ("paste", "a-b-c-d", "expected a rendezvous server for a room"),
            ("ws://127.0.0.1:9", "a-b", "expected a room code of 4 words"),
        ):
            message = {"type": "meet", "place": place, "room": room, "answers": False}
            await wire.send_json(message)
            found = await client.hear(wire, tells(reason))
            assert found["type"] in {"trouble", "state"}
            assert found.get("phase", "idle") in {"idle", "meeting"}
        await wire.close()


async def test_a_line_is_made_and_waiting_ends_when_somebody_leaves() -> None:
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        meet = {"type": "meet", "place": "paste", "room": "", "answers": False}
        await wire.send_json(meet)
        state = await client.hear(wire, lambda found: bool(found.get("line")))
        assert state["line"].startswith("talkcodec1:")
        await wire.send_json({"type": "line", "text": "hello?"})
        await client.hear(wire, lambda found: "begins with talkcodec1:" in found.get("told", ""))
        await wire.send_json({"type": "leave"})
        await client.hear(wire, lambda found: found.get("phase") == "idle")
        await wire.close()


async def test_the_token_of_a_server_goes_to_no_other() -> None:
    asked: list[str | None] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"Authorization: (.*)\r", head)
        asked.append(found[1] if found else None)
        writer.close()

    stranger = await asyncio.start_server(note, HOST, 0)
    port = stranger.sockets[0].getsockname()[1]
    known, other = f"http://{HOST}:{port}/a", f"http://{HOST}:{port}/b"
    plan = CallPlan(MeetingPlace(known, token="secret"))  # noqa: S106  of nothing
    server = await PageServer.open(plan, 0)
    async with Client(server) as client:
        wire = await client.wire()
        for place in (other, known):
            count = len(asked)
            await wire.send_json({"type": "meet", "place": place, "room": "", "answers": False})
            while len(asked) == count:
                await client.hear(wire, lambda _: True)
        await wire.close()
    assert None in asked[:1]
    assert asked[-1] == "Bearer secret"
    await server.close()
    stranger.close()
    await stranger.wait_closed()


async def test_one_page_at_a_time() -> None:
    async with serving() as server, Client(server) as client:
        first = await client.wire()
        ending = asyncio.ensure_future(cut_off(first))
        second = await client.wire()
        assert await ending == aiohttp.WSCloseCode.POLICY_VIOLATION
        await client.hear(second, lambda found: found["type"] == "state")
        await second.close()


async def test_a_page_that_says_too_much_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAYINGS", Rate(1e-6, 5))
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        for _ in range(8):
            await wire.send_json({"type": "mute", "on": True})
        assert await cut_off(wire) == aiohttp.WSCloseCode.POLICY_VIOLATION
        await (await client.wire()).close()


async def test_a_message_too_large_ends_the_wire() -> None:
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        await wire.send_str("x" * 30_000)
        assert await cut_off(wire) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await (await client.wire()).close()


async def test_a_call_ends_when_no_page_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ABSENCE", 0.01)
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        await wire.send_json({"type": "meet", "place": "paste", "room": "", "answers": True})
        await client.hear(wire, lambda found: found.get("phase") == "meeting")
        await wire.close()
        async with asyncio.timeout(PATIENCE):
            while server.caller.state()["phase"] != "idle":  # noqa: ASYNC110  it tells pages only
                await asyncio.sleep(0.01)
        assert server.caller.state()["phase"] == "idle"


async def test_descriptions_that_are_none_are_told_of_and_change_nothing() -> None:
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        for sdp in ("", "v=0", "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"):
            await wire.send_json({"type": "media", "sdp": sdp})
            found = await client.hear(wire, lambda found: found["type"] == "trouble")
            assert "expected a session description" in found["text"]
        assert server.stage._peer is None
        await wire.close()


async def test_a_line_that_is_pasted_at_once_is_read_and_one_after_the_call_goes_nowhere() -> None:
    meet = {"type": "meet", "place": "paste", "room": "", "answers": True}
    async with serving() as server, Client(server) as client:
        wire = await client.wire()
        for message in (meet, {"type": "line", "text": "nonsense"}):
            await wire.send_json(message)
        found = await client.hear(wire, tells("expected"))
        assert "expected" in found["told"]
        await wire.send_json({"type": "leave"})
        await client.hear(wire, has("phase", "idle"))
        assert server.caller._lines is None  # nothing to write a late line to
        await wire.send_json({"type": "line", "text": "late"})
        await wire.send_json(meet)
        await client.hear(wire, has("phase", "meeting"))
        await wire.send_json({"type": "leave"})
        await client.hear(wire, has("phase", "idle"))
