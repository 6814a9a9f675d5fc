# SPDX-License-Identifier: Apache-2.0
"""A thin shell around one aiortc peer connection with the three channels of a call.

The channels are negotiated out of band (fixed ids), which saves the open handshake, a round
trip of the reliable transport at the moment when it is slowest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from talkcodec.clock import Clock
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.hoard import HoardWatch
from talkcodec.rtc.ice import IceServer, hasten, unheard
from talkcodec.rtc.messages import Channel

if TYPE_CHECKING:
    from aiortc import RTCDataChannel, RTCPeerConnection

    from talkcodec.rtc.binding import Binding
    from talkcodec.rtc.lines import Line
    from talkcodec.rtc.wire import Tap, Wire

#: Bytes that may wait in front of aiortc's congestion window, per unreliable channel. aiortc's
#: own queue has no bound and would turn a slow path into growing delay: newest dropped beyond.
MAX_BACKLOG = 4000

#: The same for the reliable channel, which carries little: a peer that takes so much no more is
#: gone, or wants our memory.
MAX_RELIABLE_BACKLOG = 64_000

_OPUS = re.compile(r"a=rtpmap:(\d{1,3}) opus/")

_UNRELIABLE: tuple[Channel, ...] = (Channel.MOTION, Channel.REFERENCE)


class Peer:
    """One end of a call. All methods belong to the event loop's thread.

    ``ice_servers``: none by default, so nobody is asked unless the caller's network needs it;
    ``tell`` is given a line on each that does not help.
    ``sound``, ``video``: lines beside the data channels, at rest. ``refused``: why we ended the
    connection, if the other end asked too much of us. ``wire``: watches its datagrams once it
    stands.
    """

    def __init__(
        self,
        on_message: Callable[[Channel, bytes], None],
        *,
        ice_servers: Sequence[IceServer] = (),
        tell: Callable[[str], None] = lambda _line: None,
        wire: Wire | None = None,
        clock: Clock | None = None,
    ) -> None:
        from talkcodec.rtc.lines import Line

        self._connection = _connection(ice_servers)
        # Before the channels: aiortc closes the transport of an answer where they come first.
        self.sound: Line = Line(self._connection, "audio", clock)
        self.video: Line = Line(self._connection, "video", clock)
        self._on_message = on_message
        self._opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.dropped = 0
        self._connection.on("connectionstatechange", self._check_state)
        self._channels = {channel: self._create(channel) for channel in Channel}
        self._ice_servers, self._tell = ice_servers, tell
        hasten(self._connection)
        self.refused: str | None = None
        self._watch = HoardWatch(self._connection, self._refuse)
        self._ending: asyncio.Task[None] | None = None
        self._wire = wire
        self._tap: Tap | None = None

    def _create(self, channel: Channel) -> RTCDataChannel:
        unreliable = channel in _UNRELIABLE
        made = self._connection.createDataChannel(
            channel.name.lower(),
            ordered=not unreliable,
            maxRetransmits=0 if unreliable else None,
            negotiated=True,
            id=channel.value,
        )
        made.on("message", lambda data: self._received(channel, data))
        made.on("open", self._check_open)
        made.on("close", self.closed.set)
        return made

    async def offer(self) -> str:
        """Gather candidates and return the session description for the other peer."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return self._described()

    async def answer(self, offer: str) -> str:
        """Take the other peer's description and return ours."""
        await self._take(offer, "offer")
        try:
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # as in _take
            raise TalkcodecError(f"expected an offer to answer, found: {error!r}") from error
        return self._described()

    def _described(self) -> str:
        sdp: str = self._connection.localDescription.sdp
        for url in unheard(self._ice_servers, sdp):
            self._tell(f"no address from {url}: out of reach, or it refused us; trying without it")
        return sdp

    async def accept(self, answer: str) -> None:
        """Take the answer to our offer; the connection is then being made."""
        await self._take(answer, "answer")

    async def _take(self, sdp: str, kind: Literal["offer", "answer"]) -> None:
        from aiortc import RTCSessionDescription

        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, kind))
        except Exception as error:  # aiortc raises whatever its parser stumbles over
            raise TalkcodecError(f"expected a session description ({kind}): {error!r}") from error

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent now."""
        return self._opened.is_set() and not self.closed.is_set()

    async def opened(self, patience: float = 20.0) -> None:
        """Wait until every channel is open.

        Raises ``TalkcodecError`` after ``patience`` s, or as soon as it cannot be any more.
        """
        ends = [asyncio.ensure_future(end.wait()) for end in (self._opened, self.closed)]
        try:
            await asyncio.wait(ends, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        if not self._opened.is_set():
            state = self._connection.connectionState
            raise TalkcodecError(f"expected a connection within {patience:g} s, found it {state}")

    def binding(self) -> Binding:
        """Return what the connection tells of its other end.

        Raises ``SignalingError`` before it stands.
        """
        from talkcodec.rtc.binding import binding

        return binding(self._connection)

    def send(self, channel: Channel, data: bytes) -> bool:
        """Send one message; False where it was dropped (not open, or too much waiting)."""
        carrier = self._channels[channel]
        most = MAX_BACKLOG if channel in _UNRELIABLE else MAX_RELIABLE_BACKLOG
        full = carrier.bufferedAmount + len(data) > most
        if carrier.readyState != "open" or full:
            self.dropped += 1
            return False
        carrier.send(data)
        return True

    def backlog(self) -> int:
        """Bytes that wait in front of the congestion window, over all channels."""
        return sum(channel.bufferedAmount for channel in self._channels.values())

    async def close(self) -> None:
        """End the connection, in some seconds at most; may be called again, by several at once."""
        await asyncio.shield(self._end())

    def _end(self) -> asyncio.Task[None]:
        """Return what ends the connection: a task, which goes on when nobody waits any more."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._run_down())
        return self._ending

    async def _run_down(self) -> None:
        from talkcodec.rtc.ending import end

        self._watch.close()
        if self._tap is not None:
            self._tap.close()
        lines = (self.sound, self.video)
        for line in lines:
            line.close()
        try:
            await end(self._connection)
            await asyncio.gather(*(line.ended() for line in lines))
        finally:
            self.closed.set()

    def _received(self, channel: Channel, data: bytes | str) -> None:
        # A browser may send text; every message of ours is bytes, so it is not for us.
        if isinstance(data, bytes):
            self._on_message(channel, data)

    def _refuse(self, reason: str) -> None:
        self.refused = reason
        self._end()

    def _check_state(self) -> None:
        # A path that falls silent fails after about 30 s, when ICE's consent checks run out.
        if self._connection.connectionState in {"failed", "closed"}:
            self.closed.set()

    def _check_open(self) -> None:
        if all(channel.readyState == "open" for channel in self._channels.values()):
            for line in (self.sound, self.video):
                line.settle()
            self._let_watch()
            self._opened.set()

    def _let_watch(self) -> None:
        """Let the wire, if there is one, see what passes from now on."""
        sctp = self._connection.sctp
        if self._wire is None or self._tap is not None or sctp is None:
            return
        sound = _OPUS.search(self._connection.localDescription.sdp)
        self._tap = self._wire.tap(sctp.transport.transport, int(sound[1]) if sound else None)


def _connection(servers: Sequence[IceServer]) -> RTCPeerConnection:
    from aiortc import (  # takes 0.5 s
        RTCBundlePolicy,
        RTCConfiguration,
        RTCIceServer,
        RTCPeerConnection,
    )

    ice = [RTCIceServer(server.urls, server.username, server.credential) for server in servers]
    # One ICE transport for everything: nobody who speaks to us is too old to bundle (RFC 9143).
    return RTCPeerConnection(RTCConfiguration(ice, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
