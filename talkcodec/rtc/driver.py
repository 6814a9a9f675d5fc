# SPDX-License-Identifier: Apache-2.0
"""Runs a sans-I/O session over a peer connection: carries messages, and keeps its timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from talkcodec.clock import Clock
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.messages import Channel, Outgoing
from talkcodec.rtc.peer import Peer


class Session(Protocol):
    """What the driver needs to know of a session."""

    def receive(self, data: bytes, now: float) -> None:
        """Take one message of the other side."""

    def outgoing(self, now: float, backlog: int) -> list[Outgoing]:
        """Return what is to be sent now, given the bytes that still wait in the transport."""

    def next_deadline(self) -> float | None:
        """Return when ``outgoing`` should be asked again."""


#: Seconds until the next look when the transport, and not the session, is what is waited for.
_BACKLOG_POLL = 0.01


def failure(error: Exception) -> TalkcodecError:
    """Return ``error``, which ended a worker thread, as one that callers expect."""
    if isinstance(error, TalkcodecError):
        return error
    wrapped = TalkcodecError(f"expected the worker to go on, found {error!r}")
    wrapped.__cause__ = error
    return wrapped


#: Makes a peer that calls the given function with every message.
MakePeer = Callable[[Callable[[Channel, bytes], None]], Peer]


class Driver:
    """All methods belong to the event loop's thread.

    ``on_message`` is called after the session has taken a message, before answers are sent.
    ``sent_at``, ``heard_at``: when the last message went and came, seconds of the clock.
    """

    def __init__(
        self,
        session: Session,
        clock: Clock,
        on_message: Callable[[], None],
        make_peer: MakePeer = Peer,
    ) -> None:
        self._make_peer = make_peer
        self.peer = make_peer(self._received)
        self._session = session
        self._clock = clock
        self._on_message = on_message
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.sent_at = self.heard_at = clock.now()

    def another(self) -> Peer:
        """Return a new peer of the same session, to ``adopt`` once it is connected."""
        return self._make_peer(self._received)

    def adopt(self, peer: Peer) -> Peer:
        """Send through ``peer`` from now on, and return the old one for its owner to close.

        Messages that still come through the old one are taken: they are of the same session.
        """
        old, self.peer = self.peer, peer
        return old

    def pump(self) -> None:
        """Send what the session wants sent and set the timer for the next time."""
        # What a session has to say waits inside it while nobody can hear it.
        if self._closed or not self.peer.is_open:
            return
        now = self._clock.now()
        backlog = self.peer.backlog()
        for message in self._session.outgoing(now, backlog):
            self.sent_at = now
            self.peer.send(message.channel, message.data)
        self._set_timer(now, backlog)

    def _set_timer(self, now: float, backlog: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.next_deadline()
        if deadline is not None:
            wait = max(deadline - now, _BACKLOG_POLL if backlog else 0.0)
            self._timer = asyncio.get_running_loop().call_later(wait, self.pump)

    def _received(self, _channel: Channel, data: bytes) -> None:
        # Messages say by their first byte what they are; the channel only chose how they travel.
        self.heard_at = self._clock.now()
        self._session.receive(data, self.heard_at)
        self._on_message()
        self.pump()

    async def close(self, drain: float = 0.0) -> None:
        """Send what is due now, for up to ``drain`` seconds, then end the connection.

        May be called again.
        """
        self.pump()
        end = self._clock.now() + drain
        # One turn of the loop hands messages to aiortc's queue; a full window takes longer.
        await asyncio.sleep(0)
        while self.peer.backlog() and self._clock.now() < end:  # noqa: ASYNC110  aiortc says nothing
            await asyncio.sleep(_BACKLOG_POLL)
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self.peer.close()
