# SPDX-License-Identifier: Apache-2.0
"""The receiving side of a call without I/O: messages in, packets and answers out.

Requests, acknowledgements and reports repeat themselves, so they travel unreliably: on the
reliable channel one lost datagram holds all later ones up for a second, aiortc's shortest
retransmission timeout. Measured with ``rtc.probe`` (50 ms round trip, 3 kB references, median of
20): at 30 % loss a reference takes 0.65 s this way and 2.2 s with reliable requests; at 20 %
0.53 and 1.0 s; at 5 % 0.29 and 0.28 s.

Time is seconds of the caller's clock. Nothing from the other side raises: what is no valid
message is counted as ``invalid`` and ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from talkcodec.bitstream import StreamHeader, classify, parse_group_header
from talkcodec.bitstream.chunks import Chunk, Reassembler
from talkcodec.bitstream.control import (
    Acknowledge,
    Bye,
    ControlMessage,
    Hello,
    Nack,
    RequestReference,
    Stream,
    parse_control,
    serialize_control,
)
from talkcodec.errors import BitstreamError
from talkcodec.rtc.arrivals import ArrivalLog
from talkcodec.rtc.limits import HEADER_RATE, TokenBucket
from talkcodec.rtc.messages import MAX_WAITING, Channel, Outgoing
from talkcodec.rtc.path import MESSAGE_ANSWER, MESSAGE_OVERHEAD
from talkcodec.rtc.references import RepairConfig, RepairSchedule
from talkcodec.rtc.stats import ReceivedTransport

#: Seconds between requests for a key reference at least, however often one is needed: the sender
#: grants one a second, and a hostile one could otherwise fill our own reliable channel.
PLEA_INTERVAL = 0.3

#: Completed references remembered, in order not to ask for them again.
_REMEMBERED = 32

#: References that may be missing between two that were heard of.
_MAX_HOLE = 4


@dataclass(slots=True)
class ReceiverCounts:
    """Totals of one receiving session; see ``stats.ReceiverReport``."""

    groups: int = 0
    references: int = 0
    payload_bytes: int = 0
    requests: int = 0
    invalid: int = 0
    overflowed: int = 0
    wire_sent: int = 0
    wire_received: int = 0


class ReceiverSession:
    """Takes messages; hands out whole packets for the decoder, and what to answer.

    ``hello``: the answer to the first stream header. It comes at once, so that the sender learns
    the round trip before it has filled any queue. ``tap`` is given every packet that is whole, for
    whoever measures.
    """

    def __init__(self, hello: Hello | None = None, repair: RepairConfig | None = None) -> None:
        self.counts = ReceiverCounts()
        self.tap: Callable[[bytes], None] = _ignore
        self.ended: str | None = None
        self._packets: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._waiting: deque[Outgoing] = deque(maxlen=MAX_WAITING)
        self._reassembler = Reassembler()
        self._schedule = RepairSchedule(repair)
        self._given_up = 0
        self._complete: deque[int] = deque(maxlen=_REMEMBERED)
        self._newest: int | None = None
        self._arrivals = ArrivalLog()
        self._delay = 0.0
        self._held: tuple[int, ...] = ()
        self._hello = hello
        self._header: StreamHeader | None = None
        self._headers = TokenBucket(HEADER_RATE)
        self._stuck = False
        self._next_plea = float("-inf")

    @property
    def references_recovered(self) -> int:
        """References that parity completed, without a request."""
        return self._reassembler.recovered

    @property
    def references_given_up(self) -> int:
        """References asked for in vain."""
        return self._schedule.given_up

    def receive(self, data: bytes, now: float) -> None:
        """Take one message of the sender."""
        self.counts.wire_received += len(data) + MESSAGE_OVERHEAD
        self.counts.wire_sent += MESSAGE_ANSWER
        self._arrivals.started(now)
        try:
            self._takers()[classify(data)](data, now)
        except BitstreamError:
            self.counts.invalid += 1

    def packets(self) -> list[bytes]:
        """Return the packets for the decoder that are complete since the last call."""
        packets = list(self._packets)
        self._packets.clear()
        return packets

    def banked(self, sequence: int) -> None:
        """The decoder has put the reference ``sequence`` into its bank."""
        self._answer(Acknowledge(sequence), Channel.REFERENCE)

    def request_reference(self) -> None:
        """The decoder cannot continue from what it holds."""
        self.counts.requests += 1
        self._stuck = True

    def fare(self, delay: float, held: tuple[int, ...]) -> None:
        """Note what the next report says: playout delay (s), the bank."""
        self._delay, self._held = delay, held

    def end(self, reason: str = "") -> None:
        """Queue a farewell."""
        self._answer(Bye(reason), Channel.CONTROL)

    def outgoing(self, now: float, backlog: int) -> list[Outgoing]:
        """Return the messages to send now; while bytes wait in the transport, no requests."""
        if backlog == 0:
            self._make_requests(now)
        if self._stuck and now >= self._next_plea:
            self._stuck, self._next_plea = False, now + PLEA_INTERVAL
            self._answer(RequestReference(), Channel.CONTROL)
        report = self._arrivals.due(now, self._delay, self._held)
        if report is not None:
            self._put(Outgoing(Channel.REFERENCE, report.serialize()))
        messages = list(self._waiting)
        self._waiting.clear()
        self.counts.wire_sent += sum(len(each.data) + MESSAGE_OVERHEAD for each in messages)
        self.counts.wire_received += MESSAGE_ANSWER * len(messages)
        return messages

    def transport(self) -> ReceivedTransport:
        """Return how packets come."""
        return ReceivedTransport(
            self.counts.wire_sent,
            self.counts.wire_received,
            self.references_recovered,
            self.counts.requests,
        )

    def next_deadline(self) -> float | None:
        """Return when a request or a report is due, or None before the first message."""
        plea = self._next_plea if self._stuck else None
        times = [self._schedule.next_due(), self._arrivals.next_due(), plea]
        return min((time for time in times if time is not None), default=None)

    def _takers(self) -> dict[str, Callable[[bytes, float], None]]:
        return {
            "motion": self._take_motion,
            "chunk": self._take_chunk,
            "control": self._take_control,
            "report": self._take_foreign,
            "header": self._take_foreign,
            "reference": self._take_foreign,
        }

    def _take_motion(self, data: bytes, now: float) -> None:
        header = parse_group_header(data)
        self.counts.groups += 1
        self._arrivals.motion(header, now)
        # A reference may stay in use long after its arrival was forgotten.
        if header.reference not in (*self._complete, *self._held):
            self._schedule.wanted(header.reference, now)
        self._deliver(data)

    def _take_chunk(self, data: bytes, now: float) -> None:
        chunk = Chunk.parse(data)
        message = self._reassembler.accept(chunk)
        # What is whole now is acknowledged soon, which answers as well.
        answer = chunk.answer and message is None
        self._arrivals.chunk(chunk.sequence, chunk.index, now, answer=answer)
        if message is None:
            missing = self._reassembler.missing(chunk.sequence)
            if chunk.sequence not in self._complete and missing is not None:
                self._note_holes(chunk.sequence, now)
                self._schedule.heard(chunk.sequence, missing, now)
            return
        self._note_holes(chunk.sequence, now)
        self._complete.append(chunk.sequence)
        self._schedule.complete(chunk.sequence)
        self.counts.references += 1
        self._deliver(message)

    def _note_holes(self, sequence: int, now: float) -> None:
        """Ask for references that were skipped between the newest one heard of and this one."""
        if self._newest is not None:
            ahead = (sequence - self._newest) % 256
            if ahead > 127:
                return
            for step in range(1, ahead if ahead <= _MAX_HOLE else 1):
                self._schedule.wanted((self._newest + step) % 256, now)
        self._newest = sequence

    def _take_control(self, data: bytes, now: float) -> None:
        message = parse_control(data)
        if isinstance(message, Stream):
            # Also where it is of a version that we cannot read: who sent it learns ours.
            if self._hello is not None:
                self._answer(self._hello, Channel.CONTROL)
                self._hello = None
            self._take_header(message.header, now)
        elif isinstance(message, Bye):
            self.ended = message.reason or "the other side left"
        else:
            self.counts.invalid += 1

    def _take_header(self, data: bytes, now: float) -> None:
        """Deliver a stream header, but none that changes the stream sooner than ``HEADER_RATE``."""
        header = StreamHeader.parse(data)
        before = self._header or header
        changed = replace(header, tick=before.tick) != before
        if changed and not self._headers.take(now):
            raise BitstreamError("expected the stream header repeated, found another too soon")
        self._header = header
        self._arrivals.header(header)
        self._deliver(data)

    def _take_foreign(self, _data: bytes, _now: float) -> None:
        """Packets that exist in files, and between peers only inside others."""
        self.counts.invalid += 1

    def _deliver(self, packet: bytes) -> None:
        self.tap(packet)
        self.counts.payload_bytes += len(packet)
        self.counts.overflowed += len(self._packets) == MAX_WAITING
        self._packets.append(packet)

    def _make_requests(self, now: float) -> None:
        for sequence, missing in self._schedule.due(now):
            self.counts.requests += 1
            self._answer(Nack(sequence, missing), Channel.REFERENCE)
        if self._schedule.given_up > self._given_up:
            self._given_up = self._schedule.given_up
            self.request_reference()

    def _answer(self, message: ControlMessage, channel: Channel) -> None:
        self._put(Outgoing(channel, serialize_control(message)))

    def _put(self, message: Outgoing) -> None:
        self.counts.overflowed += len(self._waiting) == MAX_WAITING
        self._waiting.append(message)


def _ignore(_packet: bytes) -> None:
    """Nobody measures."""
