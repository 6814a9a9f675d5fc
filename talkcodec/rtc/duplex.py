# SPDX-License-Identifier: Apache-2.0
"""Two sessions over one set of channels: what arrives is sorted by whom it concerns."""

from __future__ import annotations

from collections import deque

from talkcodec.bitstream import classify
from talkcodec.bitstream.control import (
    Alive,
    Bye,
    ControlMessage,
    ModeChange,
    Mute,
    SoundTime,
    Stream,
    parse_control,
    serialize_control,
)
from talkcodec.errors import BitstreamError
from talkcodec.rtc.limits import CONTROL_RATE, TokenBucket
from talkcodec.rtc.messages import MAX_WAITING, Channel, Outgoing
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession

#: What one side tells the other of its media beside the stream.
Notice = ModeChange | SoundTime | Mute


class DuplexSession:
    """What a driver runs for a call: the session that sends, the one that receives, or both.

    ``invalid``: messages that concern neither. ``overflowed``: notices dropped, oldest first,
    because nobody took them or the connection was away. ``refused``: control messages and reports
    beyond what ``limits.CONTROL_RATE`` allows, which nobody looked at.
    """

    def __init__(
        self, sending: SenderSession | None = None, receiving: ReceiverSession | None = None
    ) -> None:
        self.sending = sending
        self.receiving = receiving
        self.invalid = 0
        self.overflowed = 0
        self._notices: deque[Notice] = deque()
        self._waiting: deque[Outgoing] = deque()
        self._control = TokenBucket(CONTROL_RATE)

    @property
    def refused(self) -> int:
        return self._control.refused

    @property
    def ended(self) -> str | None:
        """Why the other side ended the call, or None while it has not."""
        sides = (self.sending, self.receiving)
        return next((side.ended for side in sides if side is not None and side.ended), None)

    def receive(self, data: bytes, now: float) -> None:
        """Take one message of the other side."""
        try:
            kind = classify(data)
            if kind in {"control", "report"} and not self._control.take(now):
                return
            control = parse_control(data) if kind == "control" else None
        except BitstreamError:
            self.invalid += 1
            return
        if isinstance(control, Notice):
            self._make_room(self._notices)
            self._notices.append(control)
        elif isinstance(control, Alive):
            return  # that it came is all it says
        elif isinstance(control, Bye):
            self._pass((self.sending, self.receiving), data, now)
        elif kind == "report":
            self._pass((self.sending,), data, now)
        elif control is None or isinstance(control, Stream):
            self._pass((self.receiving,), data, now)
        else:
            self._pass((self.sending,), data, now)

    def tell(self, message: ControlMessage, channel: Channel = Channel.CONTROL) -> None:
        """Queue ``message`` for the other side."""
        self._make_room(self._waiting)
        self._waiting.append(Outgoing(channel, serialize_control(message)))

    def notices(self) -> list[Notice]:
        """Return what the other side has told of its media since the last call."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    def end(self, reason: str = "") -> None:
        """Queue a farewell."""
        self.tell(Bye(reason))

    def outgoing(self, now: float, backlog: int) -> list[Outgoing]:
        """Return the messages to send now, in the order in which they should leave."""
        messages = [] if self.sending is None else self.sending.outgoing(now, backlog)
        if self.receiving is not None:
            messages += self.receiving.outgoing(now, backlog)
        messages += self._waiting
        self._waiting.clear()
        return messages

    def next_deadline(self) -> float | None:
        """Return when ``outgoing`` should be asked again, or None."""
        sides = (self.sending, self.receiving)
        times = [side.next_deadline() for side in sides if side is not None]
        return min((time for time in times if time is not None), default=None)

    def _make_room(self, queue: deque[Outgoing] | deque[Notice]) -> None:
        if len(queue) == MAX_WAITING:
            queue.popleft()
            self.overflowed += 1

    def _pass(
        self, sides: tuple[SenderSession | ReceiverSession | None, ...], data: bytes, now: float
    ) -> None:
        present = [side for side in sides if side is not None]
        self.invalid += not present
        for side in present:
            side.receive(data, now)
