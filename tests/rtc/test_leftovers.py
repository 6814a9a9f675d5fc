# SPDX-License-Identifier: Apache-2.0
"""What closed calls and replaced connections leave in memory: nothing, counted by objects."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from fractions import Fraction

import numpy as np

from receiver import Receiver
from sender import Sender
from talkcodec.cli.pair import introduce
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import BLOCK, SoundBlock
from talkcodec.rtc.call import Call
from talkcodec.rtc.relay import UdpRelay
from talkcodec.types import Frame
from tests.rtc.nobody import Nobody
from tests.rtc.waiting import until

#: What the objects of a connection or of a half belong to: if one stays, so do its codecs,
#: sockets and keys, which Python does not count.
OURS = ("aiortc", "aioice", "OpenSSL", "pylibsrtp", "av", "talkcodec", "sender", "receiver")

#: Ends of the names of types that hold memory, sockets or threads of libraries.
HEAVY = (
    ".RTCPeerConnection",
    ".RTCIceTransport",
    ".RTCDtlsTransport",
    ".RTCSctpTransport",
    ".RTCRtpSender",
    ".RTCRtpReceiver",
    "aioice.ice.Connection",
    ".StunProtocol",
    "OpenSSL.SSL.Connection",
    "pylibsrtp.Session",
    "CodecContext",
    ".Peer",
    ".lines.Line",
    ".Sender",
    ".Receiver",
)


def census() -> Counter[str]:
    """Return how many objects there are by type, of what calls are made of."""
    gc.collect()
    types = (type(thing) for thing in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in types
        if str(kind.__module__).partition(".")[0] in OURS
    )


def heavy() -> Counter[str]:
    """Return the census of what holds much; messages under way come and go."""
    return Counter({name: count for name, count in census().items() if name.endswith(HEAVY)})


class Pair:
    """Both ends of a call, with a relay between them."""

    def __init__(self, relay: UdpRelay) -> None:
        self._relay = relay
        self._shown: list[int] = []
        self._heard: list[float] = []
        self._tick = 0
        self._ends = [
            Call(Sender(tracker=Nobody()), Receiver(self._show, play=self._play)) for _ in range(2)
        ]

    async def connect(self) -> None:
        """Make a connection, in place of the one there was, and use it: pictures and sound."""
        await introduce(self._relay, *self._ends)
        shown, heard = len(self._shown), len(self._heard)
        # Nobody is seen, so the pictures are ordinary video.
        while len(self._shown) < shown + 8 or len(self._heard) < heard + 20:
            for end in self._ends:
                self._feed(end)
            self._tick += 1
            await asyncio.sleep(0.04)

    async def close(self) -> None:
        await asyncio.gather(*(end.close() for end in self._ends))
        self._relay.close()

    def _feed(self, end: Call) -> None:
        sender = next(half for half in end._halves if isinstance(half, Sender))
        picture = np.full((64, 64, 3), self._tick % 256, np.uint8)
        sender.put(Frame(picture, self._tick, Fraction(1, 25)))
        samples = np.full(2 * BLOCK, 1000 * (self._tick % 2), np.int16)
        sender.put_sound(SoundBlock(samples, self._tick / 25))

    def _show(self, frame: ShownFrame) -> None:
        self._shown.append(frame.tick)

    def _play(self, block: SoundBlock) -> None:
        self._heard.append(block.time)


async def test_replaced_connections_leave_nothing() -> None:
    pair = Pair(await UdpRelay.open())
    await pair.connect()
    first = heavy()
    for _ in range(3):
        await pair.connect()
    try:
        assert first["aiortc.rtcpeerconnection.RTCPeerConnection"] == 2
        assert any(name.startswith("av.") for name in first)
        await until(lambda: not heavy() - first)
    finally:
        await pair.close()


async def test_closed_calls_leave_nothing() -> None:
    async def call() -> Counter[str]:
        pair = Pair(await UdpRelay.open())
        await pair.connect()
        await pair.close()
        del pair
        await until(lambda: len(asyncio.all_tasks()) == 1)
        return census()

    before = census()
    first = await call()  # what is loaded once
    for _ in range(3):
        last = await call()
    assert last - first == Counter()
    assert not {name for name in last - before if name.endswith(HEAVY)}
