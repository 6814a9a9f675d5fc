# SPDX-License-Identifier: Apache-2.0
"""What has come from the other end and was not looked at yet."""

from __future__ import annotations

import asyncio
from collections import deque

from talkcodec.errors import SignalingError
from talkcodec.rtc.signaling.protocol import Message

#: A meeting needs one or two messages at a time.
CAPACITY = 16


class Inbox:
    """Holds ``CAPACITY`` messages. Full: the oldest is dropped, newer ones say what holds now."""

    def __init__(self) -> None:
        self.dropped = 0
        self._held: deque[Message] = deque()
        self._failure: SignalingError | None = None
        self._changed = asyncio.Event()

    def put(self, message: Message) -> None:
        if len(self._held) == CAPACITY:
            self._held.popleft()
            self.dropped += 1
        self._held.append(message)
        self._changed.set()

    def fail(self, error: SignalingError) -> None:
        """Let ``take`` raise ``error`` once everything before it was taken."""
        self._failure = self._failure or error
        self._changed.set()

    async def take(self) -> Message:
        """Wait for a message. Raises ``SignalingError`` when none can come any more."""
        while not self._held:
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        return self._held.popleft()
