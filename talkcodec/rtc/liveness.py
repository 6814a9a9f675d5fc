# SPDX-License-Identifier: Apache-2.0
"""Notices that the other end has fallen silent, long before ICE does, which takes 30 s.

A call without a face in front of the camera says nothing for a long time, so each end says that
it is there when it has said nothing else: 1.6 kbit/s on the wire, then and only then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from talkcodec.bitstream.control import Alive, ControlMessage
from talkcodec.clock import Clock
from talkcodec.rtc.messages import Channel

#: Seconds without a message of ours after which we say that we are there.
PULSE = 0.5

#: Seconds without a message of theirs after which the connection is lost. That all of eight pulses
#: get lost happens once in 15000 times at 30 % loss, and then a new connection is made in vain.
SILENCE = 4.0

_STEP = 0.25


class Speaking(Protocol):
    """What is watched: ``talkcodec.rtc.call.Call`` is one."""

    connections: int

    @property
    def is_connected(self) -> bool: ...

    @property
    def sent_at(self) -> float: ...

    @property
    def heard_at(self) -> float: ...

    def tell(self, message: ControlMessage, channel: Channel) -> None: ...


class Liveness:
    """``lost`` is called again and again while a connection stands and nothing was heard for
    ``silence`` seconds.
    """

    def __init__(
        self, call: Speaking, lost: Callable[[], None], clock: Clock, silence: float = SILENCE
    ) -> None:
        self._call = call
        self._lost = lost
        self._clock = clock
        self._silence = silence
        self._connections = 0
        self._since = clock.now()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_STEP)

    def look(self) -> None:
        """Say that we are there, and see whether they are."""
        call, now = self._call, self._clock.now()
        if not call.is_connected:
            return
        if call.connections != self._connections:
            self._connections, self._since = call.connections, now
        if now - call.sent_at >= PULSE:
            # Unreliable: on the reliable channel it would wait for what was lost before it.
            call.tell(Alive(), Channel.MOTION)
        if now - max(call.heard_at, self._since) > self._silence:
            self._lost()
