# SPDX-License-Identifier: Apache-2.0
"""Datagrams counted and lost below DTLS, in a call of one's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from talkcodec.clock import ManualClock
from talkcodec.rtc.link import DATAGRAM_OVERHEAD, LinkConfig
from talkcodec.rtc.messages import Channel
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.wire import Wire
from tests.rtc.waiting import until

OPUS, SOUND, REPORT, VIDEO, DTLS = 96, b"\x80\x60", b"\x80\xc8", b"\x80\xe1", b"\x17\xfe"


class Path:
    """An ICE transport of which only the two ends of a pipe are left."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.outbox: list[bytes] = []
        self._recv = self.inbox.get
        self._send = self._keep

    async def _keep(self, data: bytes) -> None:
        self.outbox.append(data)


async def test_a_path_without_faults_passes_everything_on_and_counts_it() -> None:
    wire, path = Wire(ManualClock()), Path()
    wire.tap(path, OPUS)  # type: ignore[arg-type]
    for datagram in (DTLS, SOUND, VIDEO, REPORT):
        await path._send(datagram)
        path.inbox.put_nowait(datagram)
    assert path.outbox == [DTLS, SOUND, VIDEO, REPORT]
    assert [await path._recv() for _ in range(4)] == path.outbox
    for traffic in (wire.sent, wire.received):
        assert traffic.pictures == traffic.sound == 2 * (2 + DATAGRAM_OVERHEAD)


async def test_what_is_lost_counts_as_sent_and_does_not_arrive() -> None:
    wire, path = Wire(ManualClock(), random.Random(0)), Path()
    tap = wire.tap(path, OPUS)  # type: ignore[arg-type]
    wire.impair(LinkConfig(loss=0.5))
    for _ in range(400):
        await path._send(DTLS)
        path.inbox.put_nowait(DTLS)
    assert 150 < len(path.outbox) < 250
    wire.impair(LinkConfig())
    path.inbox.put_nowait(SOUND)
    came: list[bytes] = []
    while not came or came[-1] != SOUND:
        came.append(await path._recv())
    tap.close()
    # All 401 were read before the path got well, or after: none is lost without being counted.
    assert wire.received.pictures == wire.sent.pictures == 400 * (2 + DATAGRAM_OVERHEAD)


async def test_what_is_held_up_arrives_at_its_time() -> None:
    clock, path = ManualClock(), Path()
    wire = Wire(clock)
    tap = wire.tap(path, None)  # type: ignore[arg-type]
    wire.impair(LinkConfig(rtt=0.02))
    await path._send(DTLS)
    path.inbox.put_nowait(DTLS)
    receiving = asyncio.ensure_future(path._recv())
    await until(lambda: wire.received.pictures > 0)
    assert (path.outbox, receiving.done()) == ([], False)
    clock.advance(0.02)
    assert await asyncio.wait_for(receiving, 60) == DTLS
    await until(lambda: path.outbox == [DTLS])
    tap.close()


async def test_a_closed_tap_leaves_nothing_behind() -> None:
    path = Path()
    wire = Wire(ManualClock())
    tap = wire.tap(path, None)  # type: ignore[arg-type]
    wire.impair(LinkConfig(rtt=1.0))
    await path._send(DTLS)
    receiving = asyncio.ensure_future(path._recv())
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    tap.close()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


@asynccontextmanager
async def joined(wire: Wire, heard: list[bytes]) -> AsyncIterator[tuple[Peer, Peer]]:
    """Connect two peers for real; ``wire`` watches the first."""
    one, two = Peer(lambda *_: None, wire=wire), Peer(lambda _, data: heard.append(data))
    try:
        await one.accept(await two.answer(await one.offer()))
        await asyncio.gather(one.opened(60), two.opened(60))
        yield one, two
    finally:
        await asyncio.gather(one.close(), two.close())


async def test_aiortc_lets_us_between_its_transports() -> None:
    wire, heard = Wire(), list[bytes]()
    async with joined(wire, heard) as (one, two):
        one.send(Channel.MOTION, b"first")
        await until(lambda: heard == [b"first"])
        await until(lambda: wire.received.pictures > 0)  # its acknowledgement
        assert wire.sent.pictures > DATAGRAM_OVERHEAD
        wire.impair(LinkConfig(loss=1.0))
        one.send(Channel.MOTION, b"lost")
        sent = wire.sent.pictures
        await until(lambda: wire.sent.pictures > sent)
        wire.impair(LinkConfig())
        assert heard == [b"first"]
        assert one.is_open
        assert two.is_open
        # aiortc forgets what may be lost, and then goes on.
        async with asyncio.timeout(60):
            while b"after" not in heard:
                one.send(Channel.MOTION, b"after")
                await asyncio.sleep(0.05)
        assert b"lost" not in heard
