# SPDX-License-Identifier: Apache-2.0
"""The sending side of a call without I/O: packets in, messages out.

Motion goes out at once, on an unordered channel that never retransmits: a late group is worth
nothing. References go out in paced chunks with parity on a second such channel, and again in part
when the receiver asks. The stream header and the end take the reliable channel. The receiver's
reports choose pace, parity and, if wanted, what the encoder does. Time is seconds of the caller's
clock. Nothing from the other side raises: what is no valid message is counted as ``invalid`` and
ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from talkcodec.bitstream import (
    Reference,
    StreamHeader,
    TickAnchor,
    classify,
    parse_group_header,
)
from talkcodec.bitstream.chunks import fragment
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
from talkcodec.bitstream.report import PathReport
from talkcodec.bitstream.wire import VERSION
from talkcodec.errors import BitstreamError
from talkcodec.rtc.messages import MAX_WAITING, Channel, Outgoing
from talkcodec.rtc.path import MESSAGE_ANSWER, MESSAGE_OVERHEAD, PathMonitor, PathState
from talkcodec.rtc.rate import RateConfig, RateController
from talkcodec.rtc.references import LOSS, PaceConfig, ReferenceOutbox, chunk_size, parity_for
from talkcodec.rtc.requests import KeyRequests, PictureRequests
from talkcodec.rtc.stats import SentTransport
from talkcodec.types import Packet, StreamSettings

#: Motion packets that the measured loss must be out of to be trusted instead of ``LOSS``.
_TRUSTED = 50


@dataclass(slots=True)
class SenderCounts:
    """Totals of one sending session, in messages and bytes; see ``stats.SenderReport``."""

    groups: int = 0
    references: int = 0
    header_bytes: int = 0
    motion_bytes: int = 0
    reference_bytes: int = 0
    chunks: int = 0
    parity: int = 0
    control_bytes: int = 0
    overflowed: int = 0
    invalid: int = 0
    wire_sent: int = 0
    wire_received: int = 0


class SenderSession:
    """Takes the encoder's packets; hands out messages, requests and acknowledgements.

    ``best``: what the encoder does on a good path; ``settings`` says what it should do on this
    one, see ``rate.py``. Without ``best`` nothing is adapted but the references' pace. ``tap`` is
    given every packet that is to be sent, for whoever measures.
    """

    def __init__(
        self,
        table_hash: bytes,
        pace: PaceConfig | None = None,
        *,
        best: StreamSettings | None = None,
        rate: RateConfig | None = None,
    ) -> None:
        self.counts = SenderCounts()
        self.tap: Callable[[bytes], None] = _ignore
        self.ended: str | None = None
        self.report: PathReport | None = None
        self.rtt: float | None = None
        self.settings = best or StreamSettings()
        self.rate = RateController(self.settings, config=rate)
        self._adapts = best is not None
        self._table_hash = table_hash
        self._pace = pace or PaceConfig()
        self._outbox = ReferenceOutbox(self._pace)
        self._path = PathMonitor()
        self._waiting: deque[Outgoing] = deque(maxlen=MAX_WAITING)
        # At most one of 256 sequence numbers each: older ones are overwritten.
        self._acknowledged: deque[int] = deque(maxlen=256)
        self._keys = KeyRequests()
        self._requested = False
        self._pictures = PictureRequests()
        self._picture_requested = False
        self._greeted = True
        self._greeted_at: float | None = None
        self._greeting = 0
        self._anchor = TickAnchor()

    @property
    def chunks_repaired(self) -> int:
        """Chunks sent again on request."""
        return self._outbox.repaired

    @property
    def pace(self) -> float:
        """Bits per second on the wire that references get now."""
        return self.rate.pace

    @property
    def loss(self) -> float | None:
        """Part of the latest motion packets that were lost; None before a report."""
        return self._path.state.loss if self._path.state.counted else None

    @property
    def queue(self) -> float:
        """Seconds that packets stand in queues on the path, as reported last."""
        return self._path.state.queue

    def send(self, packet: Packet) -> None:
        """Queue one packet of the encoder for ``outgoing``; after a long pause the header again."""
        self.tap(packet.data)
        size = len(packet.data)
        self._repeat_header(packet)
        if packet.kind == "header":
            self.counts.header_bytes += size
            self._tell(Stream(packet.data))
            self._greeted = False
            self._greeting = len(serialize_control(Stream(packet.data)))
            self._take_rate(packet.data)
        elif packet.kind == "reference":
            self._send_reference(packet.data)
        else:
            self.counts.groups += 1
            self.counts.motion_bytes += size
            self.rate.sent(size, parse_group_header(packet.data).count)
            self._queue(Outgoing(Channel.MOTION, packet.data))

    def _repeat_header(self, packet: Packet) -> None:
        """Tell the receiver which tick ``packet`` has, where 16 bits of it cannot."""
        try:
            anchor = self._anchor.before(packet)
        except BitstreamError:  # ``_take_rate`` counts it
            return
        if anchor is not None:
            data = anchor.serialize()
            self.counts.header_bytes += len(data)
            self._tell(Stream(data))

    def _take_rate(self, header: bytes) -> None:
        try:
            self.rate.fps = float(StreamHeader.parse(header).tick_rate)
        except BitstreamError:
            self.counts.invalid += 1

    def _send_reference(self, data: bytes) -> None:
        reference = Reference.parse(data)
        sequence = reference.sequence
        self.rate.busy = True
        self.counts.references += 1
        self.counts.reference_bytes += len(data)
        motion = self.rate.cost(self.settings) / 8 * self.rate.interval
        size = chunk_size(self.rate.usable, self.rate.interval, motion, self._pace.chunk)
        pieces = -(-len(data) // size)
        chunks = fragment(data, sequence, size, parity_for(pieces, self._expected_loss()))
        self.counts.parity += chunks[0].parity
        self._outbox.add(sequence, chunks)
        if reference.key:
            self._keys.sent(sequence)

    def _expected_loss(self) -> float:
        """Return what to protect a reference against: never nothing, and no rumour."""
        state = self._path.state
        if state.counted < _TRUSTED:
            return max(state.loss, LOSS)
        # So few packets may have been lucky ones.
        return max(state.loss + sqrt(state.loss / state.counted), 0.5 / state.counted)

    def end(self, reason: str = "") -> None:
        """Queue a farewell."""
        self._tell(Bye(reason))

    def receive(self, data: bytes, now: float) -> None:
        """Take one message of the receiver."""
        self.counts.wire_received += len(data) + MESSAGE_OVERHEAD
        self.counts.wire_sent += MESSAGE_ANSWER
        self._path.answered(now)
        self._outbox.answered(8 * MESSAGE_ANSWER / self.rate.estimate, now)
        try:
            if classify(data) == "report":
                self._take_report(PathReport.parse(data), now)
            else:
                self._take_control(data, now)
        except BitstreamError:
            self.counts.invalid += 1
            return
        self._requested |= self._keys.take(now, self.rtt or 0.0)
        self._picture_requested |= self._pictures.take(now, self.rtt or 0.0)

    def _take_control(self, data: bytes, now: float) -> None:
        message = parse_control(data)
        if isinstance(message, Nack):
            if not self._outbox.repair(message.sequence, message.missing, now):
                self._keys.settled(message.sequence)
                self._keys.ask(now)
        elif isinstance(message, Acknowledge):
            self._arrived(message.sequence)
        elif isinstance(message, RequestReference):
            self._keys.ask(now)
            self._pictures.ask()
        elif isinstance(message, Hello):
            self._check(message, len(data), now)
        elif isinstance(message, Bye):
            self.ended = message.reason or "the other side left"
        else:
            self.counts.invalid += 1

    def outgoing(self, now: float, backlog: int) -> list[Outgoing]:
        """Return the messages to send now; ``backlog``: bytes that wait in the transport.

        A chunk leaves only when nothing waits, so that motion never queues behind references.
        """
        messages = list(self._waiting)
        self._waiting.clear()
        for message in messages:
            if message.channel is Channel.MOTION:
                tick = parse_group_header(message.data).tick16
                self._path.motion(tick, len(message.data), now)
                self._outbox.motion(len(message.data), now)
        if not self._greeted:
            self._greeted, self._greeted_at = True, now
        self.rate.starve(now)
        self._adapt()
        chunk = self._outbox.due(now) if backlog == 0 else None
        if chunk is not None:
            data = chunk.serialize()
            self.counts.chunks += 1
            self._path.chunk(chunk.sequence, chunk.index, len(data), now)
            messages.append(Outgoing(Channel.REFERENCE, data))
        self.counts.wire_sent += sum(len(each.data) + MESSAGE_OVERHEAD for each in messages)
        self.counts.wire_received += MESSAGE_ANSWER * len(messages)
        return messages

    def take_line(self, state: PathState, now: float) -> None:
        """Take what the reports on ordinary video show; motion's own pause meanwhile."""
        self.rtt = self.rtt if state.rtt is None else state.rtt
        self.rate.update(state, now)
        self._adapt()

    def transport(self) -> SentTransport:
        """Return how packets go."""
        settings, rate = self.settings, self.rate
        return SentTransport(
            wire_sent=self.counts.wire_sent,
            wire_received=self.counts.wire_received,
            parity=self.counts.parity,
            estimate=rate.estimate,
            pace=rate.pace,
            queue=self.queue,
            group=settings.group,
            quantiser=settings.quantiser,
            redundancy=settings.redundancy,
            divisor=settings.divisor,
            coarse=settings.coarse,
        )

    def next_deadline(self) -> float | None:
        """Return when the pace allows the next chunk, or None."""
        return self._outbox.next_due()

    def take_request(self) -> bool:
        """Return True, once, when the receiver needs a new key reference; see ``KeyRequests``.

        Ask after every ``receive``.
        """
        requested, self._requested = self._requested, False
        return requested

    def take_picture_request(self) -> bool:
        """Return True, once, when the receiver needs a key picture, if video is what it gets."""
        requested, self._picture_requested = self._picture_requested, False
        return requested

    def sent_key_picture(self) -> None:
        """A key picture of ordinary video goes out; the next request is of another cause."""
        self._keys.answered()
        self._pictures.sent()

    def take_acknowledged(self) -> list[int]:
        """Return the sequence numbers that arrived since the last call."""
        arrived = list(self._acknowledged)
        self._acknowledged.clear()
        return arrived

    def _arrived(self, sequence: int) -> None:
        self._acknowledged.append(sequence)
        self._keys.settled(sequence)
        self._outbox.settled(sequence)

    def _take_report(self, report: PathReport, now: float) -> None:
        self.report = report
        state = self._path.take(report, now, self.rate.estimate)
        self.rtt = self.rtt if state.rtt is None else state.rtt
        for arrival in report.arrivals:
            if arrival.chunk:
                came = now - arrival.age / 1000
                self._outbox.arrived(arrival.id >> 8, arrival.id & 0xFF, came)
        for sequence in report.held:
            self._arrived(sequence)
        if report.arrivals or not self.rate.beside:
            self.rate.update(state, now)
        else:
            # While video goes out nothing new may have been sent, and the queue is an old one.
            self.rate.heard(now)
        if state.newest > self.rate.config.queue:
            # Jitter or the beginning of a queue: chunks can wait until that is known.
            self._outbox.hold_until = now + min(2 * state.newest, 1.0)
        self._adapt()

    def _adapt(self) -> None:
        self.rate.busy = self._outbox.next_due() is not None
        self._outbox.expect(self.rate.interval)
        self._outbox.set_rate(self.rate.usable, known=self.rate.known)
        if self._adapts:
            self.settings = self.rate.settings

    def _check(self, hello: Hello, size: int, now: float) -> None:
        if self._greeted_at is not None and self.rtt is None:
            self.rtt = now - self._greeted_at
            self._path.greeted(self.rtt, self._greeting + size)
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


def _ignore(_packet: bytes) -> None:
    """Nobody measures."""
