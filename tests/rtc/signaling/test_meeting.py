# SPDX-License-Identifier: Apache-2.0
"""Connections made, lost and made again, over real peers and a relay that can go dead."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from talkcodec.errors import SignalingError, TalkcodecError
from talkcodec.rtc.binding import Binding, Continuity, binding
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.messages import Channel
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.relay import UdpRelay
from talkcodec.rtc.signaling.meeting import Meeting, MeetingConfig
from talkcodec.rtc.signaling.protocol import Answer, Bye, Message, Offer, Ready, Renew
from tests.rtc.signaling.joined import QUICK, Wire, by_relays, wires
from tests.rtc.waiting import until


class PeerEnd:
    """A bare peer that can be replaced: what ``rtc.call.Call`` does, without the call."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.peer: Peer | None = None

    async def _fresh(self) -> Peer:
        if self.peer is not None:
            await self.peer.close()
        self.peer = Peer(lambda _channel, data: self.heard.append(data))
        return self.peer

    async def offer(self) -> str:
        return await (await self._fresh()).offer()

    async def answer(self, offer: str) -> str:
        return await (await self._fresh()).answer(offer)

    async def accept(self, answer: str) -> None:
        assert self.peer is not None
        await self.peer.accept(answer)
        await self.peer.opened()

    async def connected(self) -> None:
        assert self.peer is not None
        await self.peer.opened()

    def binding(self) -> Binding:
        assert self.peer is not None
        return binding(self.peer._connection)

    async def close(self) -> None:
        if self.peer is not None:
            await self.peer.close()


class Pair:
    """Two meetings, joined by signaling in memory."""

    def __init__(self, config: MeetingConfig = QUICK) -> None:
        self.wires = wires()
        self.ends = PeerEnd(), PeerEnd()
        self.told: list[str] = []
        self.meetings = tuple(
            Meeting(wire, end, config=config, tell=self.told.append)
            for wire, end in zip(self.wires, self.ends, strict=True)
        )

    async def connect(self) -> list[str]:
        self.wires[0].inbox.put(Ready())
        return list(await asyncio.gather(*(meeting.connect() for meeting in self.meetings)))

    async def carries(self) -> bool:
        """Return whether a message gets across, each way."""
        for here, there in (self.ends, self.ends[::-1]):
            there.heard.clear()
            assert here.peer is not None
            if not here.peer.send(Channel.CONTROL, b"hello"):
                return False
            await until(partial(bool, there.heard))
        return True

    async def close(self) -> None:
        for meeting in self.meetings:
            await meeting.close()
        for end in self.ends:
            await end.close()


async def test_both_ends_see_the_same_words_and_other_calls_others() -> None:
    seen = []
    for _ in range(2):
        pair = Pair()
        one, two = await pair.connect()
        assert one == two
        assert len(one.split()) == 3
        assert await pair.carries()
        seen.append(one)
        await pair.close()
    assert seen[0] != seen[1]


@pytest.mark.parametrize("notices", [0, 1])
async def test_a_path_that_goes_dead_is_replaced_whoever_notices(notices: int) -> None:
    relays = [await UdpRelay.open(), await UdpRelay.open()]
    pair = Pair()

    for wire in pair.wires:
        wire.change = by_relays(relays)
    words = await pair.connect()
    assert await pair.carries()
    keepers = [asyncio.create_task(meeting.keep()) for meeting in pair.meetings]
    relays[0].impair(LinkConfig(loss=1.0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pair.carries(), 0.3)
    pair.meetings[notices].lose()
    await until(lambda: min(meeting.connections for meeting in pair.meetings) == 2)
    assert await pair.carries()
    assert relays[1].counts.forward.delivered > 0
    # The people compared words once, and may go by them still.
    assert [meeting.words for meeting in pair.meetings] == words
    for keeper in keepers:
        keeper.cancel()
    await pair.close()
    for relay in relays:
        relay.close()


async def test_offers_that_are_not_answered_are_made_again() -> None:
    pair = Pair()
    pair.wires[0].patience = 0.2
    lost: list[Message] = []

    def drop_two(message: Message) -> Message | None:
        if isinstance(message, Offer) and len(lost) < 2:
            lost.append(message)
            return None
        return message

    pair.wires[0].change = drop_two
    pair.wires[1].patience = 10.0
    one, two = await pair.connect()
    assert one == two
    assert pair.meetings[0].connections == 1
    assert sum("no connection" in line for line in pair.told) == 2
    await pair.close()


async def test_an_end_that_missed_the_offer_gets_it_when_it_comes_back() -> None:
    pair = Pair()
    pair.wires[0].change = lambda _message: None
    making = asyncio.gather(*(meeting.connect() for meeting in pair.meetings))
    pair.wires[0].inbox.put(Ready())
    await until(lambda: bool(pair.wires[0].sent))
    pair.wires[0].change = lambda message: message
    pair.wires[0].inbox.put(Ready())
    one, two = await making
    assert one == two
    await pair.close()


async def test_nobody_coming_is_an_error_in_one_line() -> None:
    wire, end = Wire(offers=True), PeerEnd()
    meeting = Meeting(wire, end, config=MeetingConfig(arrival=0.01))
    with pytest.raises(SignalingError, match="expected the other side to come, found nobody"):
        await meeting.connect()
    await meeting.close()


async def test_the_other_side_leaving_is_an_error_in_one_line() -> None:
    pair = Pair()
    pair.wires[0].inbox.put(Bye("no time"))
    with pytest.raises(SignalingError, match="the other side left: no time"):
        await pair.meetings[0].connect()
    await pair.close()


async def test_who_holds_the_signaling_cannot_touch_a_connection_that_stands() -> None:
    pair, stranger = Pair(), PeerEnd()
    await pair.connect()
    keepers = [asyncio.create_task(meeting.keep()) for meeting in pair.meetings]
    first = [end.peer for end in pair.ends]
    forged = await stranger.offer()
    pair.wires[1].inbox.put(Offer(forged, 7))
    proof = f"a=x-talkcodec-proof:1 {'0' * 64}\r\n"
    pair.wires[1].inbox.put(Offer(forged.replace("m=", proof + "m=", 1), 8))
    pair.wires[1].inbox.put(Offer("v=0", 9))
    pair.wires[0].inbox.put(Renew())
    pair.wires[0].inbox.put(Renew("1 " + "0" * 64))
    pair.wires[0].inbox.put(Answer(forged, 1))
    pair.wires[0].inbox.put(Bye("go away"))
    await until(lambda: min(meeting.ignored for meeting in pair.meetings) == 3)
    assert [end.peer for end in pair.ends] == first
    assert await pair.carries()
    for keeper in keepers:
        keeper.cancel()
    await stranger.close()
    await pair.close()


async def test_a_man_in_the_middle_is_seen_in_the_words() -> None:
    """He terminates both connections with certificates of his own, and relays."""
    alice, bob = PeerEnd(), PeerEnd()
    to_alice, to_bob = PeerEnd(), PeerEnd()
    answer = await to_alice.answer(await alice.offer())
    await alice.accept(answer)
    await to_bob.accept(await bob.answer(await to_bob.offer()))
    await bob.connected()
    assert alice.binding().words != bob.binding().words
    assert alice.binding().key != bob.binding().key
    for end in (alice, bob, to_alice, to_bob):
        await end.close()


async def test_a_changed_fingerprint_makes_no_connection() -> None:
    one, two, other = PeerEnd(), PeerEnd(), PeerEnd()
    offer, foreign = await one.offer(), await other.offer()

    def prints(sdp: str) -> list[str]:
        return [line for line in sdp.splitlines() if line.startswith("a=fingerprint")]

    for mine, theirs in zip(prints(offer), prints(foreign), strict=True):
        offer = offer.replace(mine, theirs)
    answer = await two.answer(offer)
    assert one.peer is not None
    await one.peer.accept(answer)
    with pytest.raises(TalkcodecError, match="expected a connection within"):
        await one.peer.opened(1.5)
    for end in (one, two, other):
        await end.close()


def test_proofs_are_of_one_end_one_role_and_one_time() -> None:
    print_, other = ":".join(["AB"] * 32), ":".join(["CD"] * 32)
    sdp = f"v=0\r\nm=application\r\na=fingerprint:sha-256 {print_}\r\n"
    one, two = Continuity(), Continuity()
    assert one.sign("offer", sdp) == sdp
    assert two.accepts("offer", sdp)
    for end in (one, two):
        end.establish(b"k" * 32)
    assert not two.accepts("offer", sdp)
    first, second = one.sign("offer", sdp), one.sign("offer", sdp)
    assert not two.accepts("answer", first)
    assert not two.accepts("offer", first.replace(print_, other))
    assert two.accepts("offer", second)
    assert not two.accepts("offer", second)
    assert not two.accepts("offer", first)
    renewal = one.sign_renewal()
    assert two.accepts_renewal(renewal)
    assert not two.accepts_renewal(renewal)
    assert not two.accepts_renewal("")
    stranger = Continuity()
    stranger.establish(b"x" * 32)
    assert not stranger.accepts("offer", one.sign("offer", sdp))
