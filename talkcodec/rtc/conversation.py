# SPDX-License-Identifier: Apache-2.0
"""A call and the meeting that makes its connection, again and again where it must, as one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import SignalingError
from talkcodec.rtc.call import GONE, Call, Receiving, Sending
from talkcodec.rtc.ice import IceServer
from talkcodec.rtc.liveness import Liveness
from talkcodec.rtc.signaling.meeting import Meeting, MeetingConfig
from talkcodec.rtc.signaling.protocol import Signaling
from talkcodec.rtc.wire import Wire

#: Seconds that a lost connection may take to be made again before the call ends.
PATIENCE = 60.0

#: What people are told whose way of meeting lasts no longer than one exchange.
ANEW = (
    "the connection is gone, and pasted lines are good for one: run talkcodec call on both sides"
    " again and carry new ones, or meet by a server, which makes it again by itself"
)


class Conversation:
    """One end. Make it, and the halves, inside a running event loop.

    ::

        words = await conversation.connect()    # people read them to each other
        await conversation.ended()              # the other side left, or the connection is gone
        await conversation.close()

    ``arrival``: seconds to wait for the other side. ``tell`` is given what people may want to
    know, one line at a time. ``wire``: see ``Call``.
    """

    def __init__(
        self,
        sending: Sending | None,
        receiving: Receiving | None,
        signaling: Signaling,
        *,
        ice_servers: Sequence[IceServer] = (),
        arrival: float = 900.0,
        tell: Callable[[str], None] = lambda _line: None,
        wire: Wire | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._lasts = signaling.lasts
        self._tell = tell
        self.call = Call(
            sending,
            receiving,
            ice_servers=ice_servers,
            patience=PATIENCE if signaling.lasts else 0.0,
            on_lost=self._lost,
            tell=tell,
            wire=wire,
            clock=clock,
        )
        self._meeting = Meeting(
            signaling,
            self.call,
            config=MeetingConfig(arrival=arrival, patience=PATIENCE),
            tell=tell,
            clock=clock,
        )
        self._liveness = Liveness(self.call, self._lost, clock)
        self._helpers: list[asyncio.Task[None]] = []

    async def connect(self) -> str:
        """Meet the other side and return the words to compare; from then on, stay connected.

        Raises:
            SignalingError: nobody came, or no connection could be made.
        """
        words = await self._meeting.connect()
        if self._lasts:
            self._helpers = [
                asyncio.create_task(self._keep()),
                asyncio.create_task(self._liveness.run()),
            ]
        return words

    async def ended(self) -> None:
        """Wait until the call is over: the other side left, or the connection is gone."""
        await self.call.ended()
        if not self._lasts and self.call.reason == GONE:
            self._tell(ANEW)

    async def close(self) -> None:
        """End the call, then leave the meeting; may be called at any time."""
        for helper in self._helpers:
            helper.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)
        await self.call.close()
        await self._meeting.close()

    def _lost(self) -> None:
        self._meeting.lose()

    async def _keep(self) -> None:
        """Make the connection again whenever it is lost, as long as there is a way to."""
        try:
            await self._meeting.keep()
        except SignalingError as error:
            # The call goes on, and ends when its connection does.
            self._tell(f"no way left to make a lost connection again: {error}")
