# SPDX-License-Identifier: Apache-2.0
"""A call: one peer connection, a sending half, a receiving half, or both.

Two-way costs one association: both halves share channels, timers and lines. The connection may
be replaced under them (a changed network, an ICE failure): sessions, encoder, decoder, playout
and sound go on where they were.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from talkcodec.bitstream.control import ControlMessage
from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import TalkcodecError
from talkcodec.pools import give_back
from talkcodec.rtc.driver import Driver
from talkcodec.rtc.duplex import DuplexSession, Notice
from talkcodec.rtc.ice import IceServer
from talkcodec.rtc.messages import Channel
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession

if TYPE_CHECKING:
    from talkcodec.rtc.binding import Binding
    from talkcodec.rtc.lines import Line
    from talkcodec.rtc.wire import Wire

#: Seconds that the transport has to send what waits when a call ends.
_DRAIN = 0.5

#: Seconds after which nothing of aiortc's runs for a connection that was closed, and codecs of a
#: mode that ended are at rest.
_REST = 1.0

#: Why a call is over whose connection was lost and not made again.
GONE = "the connection is gone"


class Half(Protocol):
    """What a call needs of each of its halves. All methods belong to the event loop's thread."""

    async def prepare(self) -> None:
        """Load what takes long, off the event loop; called before each connection is made."""

    def joined(self, call: Call) -> None:
        """A connection stands: the first one, or another one in its place."""

    def heard(self, notices: list[Notice]) -> None:
        """The session has taken a message, and the other side told ``notices`` of its media."""

    def over(self, reason: str) -> None:
        """The other side or the path ended the call."""

    async def finish(self) -> None:
        """Do what remains to be done, and stop the threads."""


class Sending(Half, Protocol):
    """The half that sends; ``sender.Sender`` is one."""

    @property
    def session(self) -> SenderSession: ...


class Receiving(Half, Protocol):
    """The half that receives; ``receiver.Receiver`` is one."""

    @property
    def session(self) -> ReceiverSession: ...


class Call:
    """One end of a call. Make it, and the halves, inside a running event loop.

    ::

        sender, receiver = Sender(), Receiver(show)
        call = Call(sender, receiver)
        answer = await signal(await call.offer())    # by any signaling
        await call.accept(answer)
        ...                                          # sender.put(frame), from any thread
        await call.close()

    The other end says ``answer = await call.answer(offer)`` and ``await call.connected()``.

    ``ice_servers``: STUN and TURN; none by default. ``patience``: seconds to wait for another
    connection when one is gone, before the call ends; ``on_lost`` is called when that waiting
    begins, so that signaling may call ``reconnect``, or ``offer`` and ``answer`` anew. ``tell`` is
    given a line on each server that does not help. ``wire``: watches its datagrams.
    """

    def __init__(
        self,
        sending: Sending | None = None,
        receiving: Receiving | None = None,
        *,
        ice_servers: Sequence[IceServer] = (),
        patience: float = 0.0,
        on_lost: Callable[[], None] | None = None,
        tell: Callable[[str], None] = lambda _line: None,
        wire: Wire | None = None,
        clock: Clock | None = None,
    ) -> None:
        if sending is None and receiving is None:
            raise TalkcodecError("expected a half that sends or receives, found none")
        self._halves: list[Half] = [half for half in (sending, receiving) if half is not None]
        self._session = DuplexSession(
            None if sending is None else sending.session,
            None if receiving is None else receiving.session,
        )
        self._clock = clock or SystemClock()
        servers = tuple(ice_servers)
        make = partial(Peer, ice_servers=servers, tell=tell, wire=wire, clock=self._clock)
        self._driver = Driver(self._session, self._clock, self._heard, make)
        self._patience = patience
        self._on_lost = on_lost
        self._next: Peer | None = None
        self._used = False
        self._over = asyncio.Event()
        self._reason = ""
        self._closing = False
        self._guards: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.Task[None] | None = None
        self.connections = 0

    @property
    def sound(self) -> Line:
        """The line for sound of the present connection."""
        return self._driver.peer.sound

    @property
    def video(self) -> Line:
        """The line for ordinary video of the present connection."""
        return self._driver.peer.video

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands now."""
        return self._driver.peer.is_open

    @property
    def backlog(self) -> int:
        """Bytes that wait in the transport."""
        return self._driver.peer.backlog()

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, for whatever reason."""
        return self._over.is_set()

    @property
    def reason(self) -> str:
        """Why the call is over, in one line; empty while it goes on, and where we ended it."""
        return self._reason

    @property
    def dropped(self) -> int:
        """Messages of the present connection that a full transport refused."""
        return self._driver.peer.dropped

    @property
    def sent_at(self) -> float:
        """When the last message went, seconds of the clock."""
        return self._driver.sent_at

    @property
    def heard_at(self) -> float:
        """When the last message came, seconds of the clock."""
        return self._driver.heard_at

    def binding(self) -> Binding:
        """Return what the connection that stands tells of its other end: words to compare."""
        return self._driver.peer.binding()

    async def offer(self) -> str:
        """Return a session description for the other end.

        Called again, it begins another connection; the one there is serves until that stands.
        """
        _, offer = await asyncio.gather(self._prepare(), self._fresh().offer())
        return offer

    async def answer(self, offer: str) -> str:
        """Take the other end's description and return ours. As ``offer``, it may be repeated."""
        peer = self._fresh()
        _, answer = await asyncio.gather(self._prepare(), peer.answer(offer))
        self._guard(self._accompany(peer))
        return answer

    async def accept(self, answer: str) -> None:
        """Take the answer to ``offer`` and wait until the connection stands.

        Raises:
            TalkcodecError: there was no offer, the answer is none, or no connection comes about.
        """
        if not self._used:
            raise TalkcodecError("expected an offer before its answer, found none")
        peer = self._newest
        await peer.accept(answer)
        self._guard(self._accompany(peer))
        await peer.opened()

    async def connected(self) -> None:
        """Wait until the connection stands; raises ``TalkcodecError`` if it does not in time."""
        await self._newest.opened()

    async def reconnect(self, exchange: Callable[[str], Awaitable[str]]) -> None:
        """Replace the connection: ``exchange`` carries the new offer over and returns the answer.

        The other end does it by ``answer``. Frames go on being tracked, encoded and drawn.
        """
        await self.accept(await exchange(await self.offer()))

    async def ended(self) -> None:
        """Wait until the call is over: the other side left, the path is gone, or we failed."""
        await self._over.wait()

    def tell(self, message: ControlMessage, channel: Channel = Channel.CONTROL) -> None:
        """Send ``message`` to the other end, or keep it until a connection stands."""
        self._session.tell(message, channel)
        self.pump()

    def pump(self) -> None:
        """Send what the halves' sessions have to send."""
        self._driver.pump()

    def tidy(self) -> None:
        """Give the memory back, soon, that something large has left: a connection, or video."""
        if self._tidying is None or self._tidying.done():
            self._tidying = self._guard(_tidy())

    def end(self, reason: str) -> None:
        """End the call because of ``reason``; the halves stop working. ``close`` is still due."""
        if self._over.is_set():
            return
        self._over.set()
        if not self._closing:
            # It may be the other side's words, which are shown to people.
            self._reason = "".join(c if c.isprintable() else "?" for c in reason)
            for half in self._halves:
                half.over(reason)

    async def close(self) -> None:
        """Finish both halves, say farewell and end the connection; may be called again."""
        self._closing = True
        await asyncio.gather(*(half.finish() for half in self._halves))
        self._session.end()
        await self._driver.close(drain=_DRAIN)
        if self._next is not None:
            await self._next.close()
        for guard in list(self._guards):
            guard.cancel()
        await asyncio.gather(*self._guards, return_exceptions=True)
        self._over.set()

    async def _prepare(self) -> None:
        await asyncio.gather(*(half.prepare() for half in self._halves))

    @property
    def _newest(self) -> Peer:
        return self._next or self._driver.peer

    def _fresh(self) -> Peer:
        """Return a peer that was not used before."""
        if self._closing or self._over.is_set():
            raise TalkcodecError("expected a call that goes on, found it ended")
        if self._used:
            if self._next is not None:
                self._guard(self._next.close())
            self._next = self._driver.another()
        self._used = True
        return self._newest

    def _guard(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` beside the call, which waits for it at the end."""
        task = asyncio.create_task(work)
        self._guards.add(task)
        task.add_done_callback(self._guards.discard)
        return task

    async def _accompany(self, peer: Peer) -> None:
        """Take ``peer`` when it stands; when it is gone, and no other is there, see to that."""
        try:
            await peer.opened()
        except TalkcodecError:  # whoever waits for it is told
            if peer is self._next:
                self._next = None
                await peer.close()
        else:
            self._adopt(peer)
            await peer.closed.wait()
            if peer.refused is not None:  # nobody to come back to
                self.end(peer.refused)
                return
        if not self._driver.peer.is_open:
            await self._lose()

    def _adopt(self, peer: Peer) -> None:
        if peer is self._next:
            self._next = None
            self._guard(_retire(self._driver.adopt(peer)))
        self.connections += 1
        for half in self._halves:
            half.joined(self)
        self.pump()

    async def _lose(self) -> None:
        """Wait for another connection, if somebody may make one; without, the call is over.

        An attempt under way is no connection: its answer may never come.
        """
        if self._patience > 0 and not self._over.is_set():
            before = self.connections
            if self._next is None and self._on_lost is not None:
                self._on_lost()
            await asyncio.sleep(self._patience)
            if self.connections == before and not self._driver.peer.is_open:
                self.end(GONE)
        elif self._next is None:
            self.end(GONE)

    def _heard(self) -> None:
        notices = self._session.notices()
        for half in self._halves:
            half.heard(notices)
        if self._session.ended is not None:
            self.end(self._session.ended)


async def _retire(peer: Peer) -> None:
    """Close a connection that another has replaced, and give back what it held.

    aiortc's objects refer to each other in circles. Until Python looks at all there is, which may
    be several connections later, they would stay, with their codecs; it takes some 40 ms.
    """
    await peer.close()
    del peer
    await asyncio.sleep(_REST)
    gc.collect()
    await asyncio.to_thread(give_back)


async def _tidy() -> None:
    await asyncio.sleep(_REST)
    await asyncio.to_thread(give_back)
