# SPDX-License-Identifier: Apache-2.0
"""Session descriptions, and real peer connections whose every datagram passes the relay."""

from __future__ import annotations

import asyncio

import pytest

from talkcodec.errors import TalkcodecError
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.messages import Channel
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.relay import UdpRelay
from talkcodec.rtc.sdp import host_address, only_candidate

SDP = """\
v=0\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
a=candidate:1 1 udp 2130706431 fd00::2 40000 typ host\r
a=candidate:2 1 udp 2130706431 192.0.2.2 40001 typ host\r
a=end-of-candidates\r
"""


def test_the_ipv4_candidate_is_found_and_replaced() -> None:
    assert host_address(SDP) == ("192.0.2.2", 40001)
    rewritten = only_candidate(SDP, "127.0.0.1", 5)
    assert host_address(rewritten) == ("127.0.0.1", 5)
    assert rewritten.count("a=candidate:") == 1
    assert "fd00" not in rewritten
    assert "a=end-of-candidates\r\n" in rewritten


@pytest.mark.parametrize(
    "sdp", ["", "v=0\r\n", "a=candidate:x\r\n", "a=candidate:1 1 tcp 1 1.2.3.4 5 typ host\r\n"]
)
def test_a_description_without_a_usable_candidate_is_an_error(sdp: str) -> None:
    with pytest.raises(TalkcodecError, match="expected an IPv4 network interface"):
        host_address(sdp)


def test_nothing_to_replace_is_an_error() -> None:
    with pytest.raises(TalkcodecError, match="with candidates, found none"):
        only_candidate("v=0\r\n", "127.0.0.1", 5)


def ignore(_channel: Channel, _data: bytes) -> None:
    """For peers that only send."""


async def connect(relay: UdpRelay, caller: Peer, callee: Peer) -> None:
    offer = relay.offer(await caller.offer())
    await caller.accept(relay.answer(await callee.answer(offer)))
    await asyncio.gather(caller.opened(), callee.opened())


def test_a_call_passes_the_relay_and_nothing_else() -> None:
    async def call() -> None:
        got: asyncio.Queue[tuple[Channel, bytes]] = asyncio.Queue(8)
        relay = await UdpRelay.open(seed=1)
        caller = Peer(ignore)
        callee = Peer(lambda channel, data: got.put_nowait((channel, data)))
        await connect(relay, caller, callee)
        setup = relay.counts.forward.offered_bytes
        assert setup > 1000  # DTLS certificates alone are more

        for channel in Channel:
            assert caller.send(channel, bytes([channel.value]) * 100)
        received = {await asyncio.wait_for(got.get(), 60) for _ in Channel}
        assert received == {(channel, bytes([channel.value]) * 100) for channel in Channel}
        assert relay.counts.forward.offered_bytes - setup > 3 * (100 + 28)

        relay.impair(LinkConfig(loss=1.0))
        caller.send(Channel.MOTION, b"lost")
        await asyncio.sleep(0.05)
        assert relay.counts.forward.lost >= 1
        assert got.empty()
        await asyncio.gather(caller.close(), callee.close())
        relay.close()
        assert not caller.send(Channel.MOTION, b"closed")
        assert caller.dropped == 1

    asyncio.run(call())


def test_an_unreliable_channel_drops_what_the_window_cannot_take() -> None:
    async def call() -> None:
        relay = await UdpRelay.open()
        caller = Peer(ignore)
        callee = Peer(ignore)
        await connect(relay, caller, callee)
        relay.impair(LinkConfig(loss=1.0))
        sent = []
        for _ in range(40):
            sent.append(caller.send(Channel.REFERENCE, bytes(1000)))
            await asyncio.sleep(0)
        assert not sent[-1]
        assert caller.backlog() <= 4000
        assert caller.dropped == sent.count(False)
        await asyncio.gather(caller.close(), callee.close())
        relay.close()

    asyncio.run(call())


def test_a_connection_that_never_comes_is_a_one_line_error() -> None:
    async def call() -> None:
        peer = Peer(ignore)
        await peer.offer()
        with pytest.raises(TalkcodecError, match=r"expected a connection within 0\.05 s"):
            await peer.opened(0.05)
        with pytest.raises(TalkcodecError, match="expected a session description"):
            await peer.accept("nonsense")
        await peer.close()

    asyncio.run(call())
