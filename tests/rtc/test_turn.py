# SPDX-License-Identifier: Apache-2.0
"""Calls by way of a real TURN server (coturn, where it is installed), and without one's help.

What is sent to ``turnserver`` and back goes through loopback; the two ends know each other only by
their addresses at the server.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction

import pytest

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.clock import SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.errors import TalkcodecError
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sources import builtin_source
from talkcodec.rtc.call import Call
from talkcodec.rtc.ice import PATIENCE, IceServer
from talkcodec.types import Frame
from tests.rtc.nobody import Nobody
from tests.rtc.waiting import until

CLOCK = SystemClock()
USER, PASSWORD = "somebody", "open sesame"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a TURN and STUN server that lets peers of this machine be spoken to."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("needs turnserver: apt-get install coturn")
    folder = tmp_path_factory.mktemp("turn")
    number = silent_port()
    options = (
        f"--listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --listening-port={number} --no-tls"
        f" --no-dtls --no-cli --allow-loopback-peers --lt-cred-mech --realm=test -n"
        f" --userdb={folder / 'users'} --pidfile={folder / 'pid'} --log-file=stdout"
    )
    with subprocess.Popen(
        [program, *options.split(), f"--user={USER}:{PASSWORD}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    ) as process:
        end = CLOCK.now() + 20
        while not is_listening(number):
            assert process.poll() is None
            assert CLOCK.now() < end
        yield number
        process.terminate()


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def silent_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ends:
    """Two ends of a one-way call, who tell each other their ``kinds`` of addresses only."""

    def __init__(self, sender: Sender, servers: list[IceServer], *kinds: str) -> None:
        self.told: list[str] = []
        self.shown: list[ShownFrame] = []
        self.receiver = Receiver(self.shown.append)
        self.near = Call(sender, ice_servers=servers, tell=self.told.append)
        self.far = Call(receiving=self.receiver, ice_servers=servers, tell=self.told.append)
        self._kinds = kinds

    async def introduce(self) -> None:
        answer = await self.far.answer(self._only(await self.near.offer()))
        await self.near.accept(self._only(answer))
        await self.far.connected()

    def _only(self, sdp: str) -> str:
        """Return ``sdp`` without the addresses of other kinds: nobody can find those out."""
        wanted = [f" typ {kind}" for kind in self._kinds]
        return "".join(
            line
            for line in sdp.splitlines(keepends=True)
            if not line.startswith("a=candidate:") or any(kind in line for kind in wanted)
        )

    def kinds(self) -> list[str]:
        """Return the kinds of both addresses that the near end sends by: its own, the other."""
        sctp = self.near._driver.peer._connection.sctp
        assert sctp is not None
        (pair,) = sctp.transport.transport._connection._nominated.values()
        return [pair.local_candidate.type, pair.remote_candidate.type]


@asynccontextmanager
async def ends(sender: Sender, servers: list[IceServer], *kinds: str) -> AsyncIterator[Ends]:
    made = Ends(sender, servers, *kinds)
    try:
        yield made
    finally:
        await asyncio.gather(made.near.close(), made.far.close())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_goes_by_a_relay_where_nothing_else_does(port: int, transport: str) -> None:
    servers = [IceServer(f"turn:127.0.0.1:{port}?transport={transport}", USER, PASSWORD)]
    sender = Sender(EncoderConfig(startup=0.1))
    async with ends(sender, servers, "relay") as two:
        await two.introduce()
        assert "relay" in two.kinds()
        pictures = [frame.picture for frame in builtin_source(2)]
        source = (
            Frame(pictures[tick % len(pictures)], tick, Fraction(1, 25)) for tick in range(1500)
        )
        capture = Capture(source, sender.put, lambda _failure: None, CLOCK)
        capture.start()
        try:
            await until(lambda: len(two.shown) > 25)
        finally:
            await asyncio.to_thread(capture.close)
        report = two.receiver.report()
    assert report.references >= 1
    assert report.groups > 8
    assert report.invalid == 0
    assert {frame.mode for frame in two.shown} == {"motion"}
    assert two.told == []


async def test_a_stun_server_adds_an_address(port: int) -> None:
    async with ends(Sender(tracker=Nobody()), [IceServer(f"stun:127.0.0.1:{port}")], "host") as two:
        assert " typ srflx" in await two.near.offer()
    assert two.told == []


async def test_a_refused_login_is_told_in_one_line_and_the_call_goes_on(port: int) -> None:
    server = IceServer(f"turn:127.0.0.1:{port}", USER, "wrong")
    async with ends(Sender(tracker=Nobody()), [server], "host", "relay") as two:
        await two.introduce()
        assert two.kinds() == ["host", "host"]
    line = f"no address from {server.urls}: out of reach, or it refused us; trying without it"
    assert two.told == [line, line]  # one of each end
    assert "wrong" not in line


@pytest.mark.parametrize("scheme", ["stun", "turn"])
async def test_a_server_out_of_reach_holds_a_call_up_for_two_seconds_an_end(scheme: str) -> None:
    # A socket that takes requests and never answers, as behind a firewall.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        server = IceServer(f"{scheme}:127.0.0.1:{deaf.getsockname()[1]}", USER, PASSWORD)
        async with ends(Sender(tracker=Nobody()), [server], "host") as two:
            await two.near.offer()  # loads what takes long
            begin = CLOCK.now()
            await two.introduce()
            took = CLOCK.now() - begin
    assert took > 2 * PATIENCE
    # What aiortc alone would wait for, 5 s each; the rest is for a busy machine.
    assert took < 10
    assert f"no address from {server.urls}" in two.told[0]


async def test_where_only_a_relay_would_do_and_there_is_none_one_line_says_so() -> None:
    server = IceServer(f"turn:127.0.0.1:{silent_port()}?transport=tcp", USER, PASSWORD)
    async with ends(Sender(tracker=Nobody()), [server], "relay") as two:
        begin = CLOCK.now()
        with pytest.raises(TalkcodecError, match="expected a connection within 20 s, found it"):
            await two.introduce()
        assert CLOCK.now() - begin < 15  # it is known before
