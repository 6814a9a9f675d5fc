# SPDX-License-Identifier: Apache-2.0
"""Signaling in memory, and what tests of meetings share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from talkcodec.rtc.relay import UdpRelay
from talkcodec.rtc.signaling.backoff import Backoff
from talkcodec.rtc.signaling.inbox import Inbox
from talkcodec.rtc.signaling.meeting import MeetingConfig
from talkcodec.rtc.signaling.protocol import Answer, Message, Offer

QUICK = MeetingConfig(arrival=60.0, patience=60.0, backoff=Backoff(0.01, 0.02))


@dataclass
class Wire:
    """Signaling in memory. ``change`` may look at, change or drop (None) what passes."""

    offers: bool
    patience: float = 5.0
    lasts: bool = True
    inbox: Inbox = field(default_factory=Inbox)
    sent: list[Message] = field(default_factory=list)
    other: Wire | None = None
    change: Callable[[Message], Message | None] = lambda message: message

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        changed = self.change(message)
        if changed is not None and self.other is not None:
            self.other.inbox.put(changed)

    async def receive(self) -> Message:
        return await self.inbox.take()

    async def close(self) -> None:
        """Nothing is held."""


def wires() -> tuple[Wire, Wire]:
    """Return two ends joined; the first offers."""
    one, two = Wire(offers=True), Wire(offers=False)
    one.other, two.other = two, one
    return one, two


def by_relays(relays: list[UdpRelay]) -> Callable[[Message], Message]:
    """Return a ``change`` that leads the n-th attempt over the n-th relay, or the last."""

    def relay(attempt: int) -> UdpRelay:
        return relays[min(attempt, len(relays)) - 1]

    def change(message: Message) -> Message:
        if isinstance(message, Offer):
            return Offer(relay(message.attempt).offer(message.sdp), message.attempt)
        if isinstance(message, Answer):
            return Answer(relay(message.attempt).answer(message.sdp), message.attempt)
        return message

    return change
