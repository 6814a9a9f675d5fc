# SPDX-License-Identifier: Apache-2.0
"""The sending side of a call without I/O: packets in, messages out.

Motion goes out at once, on an unordered channel that never retransmits: a late group is worth
nothing. References go out in paced chunks on a second such channel, and again in part when the
receiver asks. The stream header and the end take the reliable channel. Time is seconds of the
caller's clock. Nothing from the other side raises: what is no valid message is counted as
``invalid`` and ignored.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from talkcodec.bitstream import Reference
from talkcodec.bitstream.chunks import Chunk, fragment
from talkcodec.bitstream.control import (
    Acknowledge,
    Bye,
    ControlMessage,
    Hello,
    Nack,
    ReceiverReport,
    RequestReference,
    Stream,
    parse_control,
    serialize_control,
)
from talkcodec.bitstream.wire import VERSION
from talkcodec.errors import BitstreamError
from talkcodec.rtc.messages import MAX_WAITING, Channel, Outgoing
from talkcodec.rtc.references import PaceConfig, ReferenceOutbox
from talkcodec.rtc.requests import KeyRequests
from talkcodec.types import Packet


@dataclass(slots=True)
class SenderCounts:
    """Totals of one sending session, in messages and bytes; see ``stats.SenderReport``."""

    groups: int = 0
    references: int = 0
    header_bytes: int = 0
    motion_bytes: int = 0
    reference_bytes: int = 0
    chunks: int = 0
    control_bytes: int = 0
    overflowed: int = 0
    invalid: int = 0


class SenderSession:
    """Takes the encoder's packets; hands out messages, requests and acknowledgements."""

    def __init__(self, table_hash: bytes, pace: PaceConfig | None = None) -> None:
        self.counts = SenderCounts()
        self.ended: str | None = None
        self.report: ReceiverReport | None = None
        self.rtt: float | None = None
        self.loss: float | None = None
        self._table_hash = table_hash
        self._pace = pace or PaceConfig()
        self._outbox = ReferenceOutbox(self._pace)
        self._waiting: deque[Outgoing] = deque(maxlen=MAX_WAITING)
        self._acknowledged: list[int] = []
        self._keys = KeyRequests()
        self._requested = False
        self._probe: tuple[int, float] | None = None
        self._repaired: int | None = None
        self._shortest: float | None = None
        self._greeted = True
        self._greeted_at: float | None = None

    @property
    def chunks_repaired(self) -> int:
        """Chunks sent again on request."""
        return self._outbox.repaired

    @property
    def pace(self) -> float:
        """Bits per second on the wire that references get now."""
        return self._outbox.rate

    def send(self, packet: Packet) -> None:
        """Queue one packet of the encoder for ``outgoing``."""
        size = len(packet.data)
        if packet.kind == "header":
            self.counts.header_bytes += size
            self._tell(Stream(packet.data))
            self._greeted = False
        elif packet.kind == "reference":
            self._send_reference(packet.data)
        else:
            self.counts.groups += 1
            self.counts.motion_bytes += size
            self._queue(Outgoing(Channel.MOTION, packet.data))

    def _send_reference(self, data: bytes) -> None:
        reference = Reference.parse(data)
        sequence = reference.sequence
        self.counts.references += 1
        self.counts.reference_bytes += len(data)
        self._outbox.add(sequence, fragment(data, sequence, self._pace.chunk))
        if reference.key:
            self._keys.sent(sequence)

    def end(self, reason: str = "") -> None:
        """Queue a farewell."""
        self._tell(Bye(reason))

    def receive(self, data: bytes, now: float) -> None:
        """Take one message of the receiver."""
        try:
            message = parse_control(data)
        except BitstreamError:
            self.counts.invalid += 1
            return
        if isinstance(message, Nack):
            self._repair(message, now)
        elif isinstance(message, Acknowledge):
            self._arrived(message.sequence, now)
        elif isinstance(message, RequestReference):
            self._keys.ask(now)
        elif isinstance(message, ReceiverReport):
            self._take_report(message)
        elif isinstance(message, Hello):
            self._check(message, now)
        elif isinstance(message, Bye):
            self.ended = message.reason or "the receiver left"
        else:
            self.counts.invalid += 1
        self._requested |= self._keys.take(now, self.rtt or 0.0)

    def outgoing(self, now: float, backlog: int) -> list[Outgoing]:
        """Return the messages to send now; ``backlog``: bytes that wait in the transport.

        A chunk leaves only when nothing waits, so that motion never queues behind references.
        """
        messages = list(self._waiting)
        self._waiting.clear()
        if not self._greeted:
            self._greeted, self._greeted_at = True, now
        chunk = self._outbox.due(now) if backlog == 0 else None
        if chunk is not None:
            self.counts.chunks += 1
            messages.append(Outgoing(Channel.REFERENCE, chunk))
            parsed = Chunk.parse(chunk)
            # The answer to the last chunk comes at once: a round trip, unless it needed repair.
            last = parsed.index == parsed.count - 1 and parsed.sequence != self._repaired
            self._probe = (parsed.sequence, now) if last else None
        return messages

    def next_deadline(self) -> float | None:
        """Return when the pace allows the next chunk, or None."""
        return self._outbox.next_due()

    def take_request(self) -> bool:
        """Return True, once, when the receiver needs a new key reference; see ``KeyRequests``.

        Ask after every ``receive``.
        """
        requested, self._requested = self._requested, False
        return requested

    def take_acknowledged(self) -> list[int]:
        """Return the sequence numbers that arrived since the last call."""
        arrived, self._acknowledged = self._acknowledged, []
        return arrived

    def _repair(self, nack: Nack, now: float) -> None:
        self._probe, self._repaired = None, nack.sequence
        if not self._outbox.repair(nack.sequence, nack.missing):
            self._keys.settled(nack.sequence)
            self._keys.ask(now)

    def _arrived(self, sequence: int, now: float) -> None:
        self._acknowledged.append(sequence)
        self._keys.settled(sequence)
        if self._probe is not None and self._probe[0] == sequence:
            self.rtt = now - self._probe[1]
            self._shortest = min(self.rtt, self._shortest or self.rtt)
            self._outbox.adapt(self.rtt - self._shortest)
        self._probe = None

    def _take_report(self, report: ReceiverReport) -> None:
        self.report = report
        self._acknowledged.extend(report.held)
        for sequence in report.held:
            self._keys.settled(sequence)
        if self.counts.groups:
            self.loss = max(0.0, 1 - report.received / self.counts.groups)

    def _check(self, hello: Hello, now: float) -> None:
        if self._greeted_at is not None and self._shortest is None:
            self.rtt = self._shortest = now - self._greeted_at
        found = (hello.version, hello.table_hash)
        if found != (VERSION, self._table_hash):
            self.ended = (
                f"expected a receiver of format {VERSION} with tables {self._table_hash.hex()},"
                f" found {hello.version} with {hello.table_hash.hex()}"
            )

    def _tell(self, message: ControlMessage) -> None:
        data = serialize_control(message)
        self.counts.control_bytes += len(data)
        self._queue(Outgoing(Channel.CONTROL, data))

    def _queue(self, message: Outgoing) -> None:
        self.counts.overflowed += len(self._waiting) == MAX_WAITING
        self._waiting.append(message)
