# SPDX-License-Identifier: Apache-2.0
"""What a call reports about itself, in the manner of WebRTC's ``getStats``: totals so far.

Payload is what the codec made (header, references, motion), each byte counted once when first
handed to the transport; repairs, chunk headers, control messages and everything below the data
channel are wire. The wire itself is only seen where datagrams pass: see ``relay.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

#: A picture that stands longer than this is a freeze, in seconds.
FREEZE = 0.2


@dataclass(frozen=True, slots=True)
class SenderReport:
    """Totals of the sending side at ``timestamp`` (seconds of the clock).

    ``frames_dropped``: captured, but the encoder was busy. ``loss``: part of the latest groups
    that did not arrive, as the receiver told last, 0 to 1; None before it told anything. ``rtt``:
    seconds for a message and its echo; None before the first. ``messages_dropped``: refused by a
    full transport. ``group_time``: seconds from the first frame of a group to its last, which the
    first one waits; ``encode_time``: seconds that the encoder takes for a frame, of late.
    """

    timestamp: float
    frames_captured: int
    frames_dropped: int
    frames_encoded: int
    groups: int
    references: int
    payload_bytes: int
    motion_bytes: int
    reference_bytes: int
    chunks: int
    chunks_repaired: int
    control_bytes: int
    messages_dropped: int
    loss: float | None
    rtt: float | None
    group_time: float = 0.0
    encode_time: float = 0.0


@dataclass(frozen=True, slots=True)
class SentTransport:
    """How packets of the sending half go; totals, and what holds at this moment.

    ``wire_sent``, ``wire_received``: bytes, with what DTLS, SCTP, UDP and IPv4 add to messages and
    acknowledgements, as measured, but without handshakes, ICE and what aiortc sends again.
    ``parity``: the part of the chunks that is parity. ``estimate``: bits per second that the path
    is thought to carry; ``pace``: what references may take of it; ``queue``: seconds that packets
    stand in queues. The rest is what the encoder is told; see ``StreamSettings``.
    """

    wire_sent: int
    wire_received: int
    parity: int
    estimate: float
    pace: float
    queue: float
    group: int
    quantiser: int
    redundancy: bool
    divisor: int
    coarse: bool


@dataclass(frozen=True, slots=True)
class ReceivedTransport:
    """How packets of the receiving half come; wire bytes as in ``SentTransport``.

    ``recovered``: references that parity completed without a request; ``requests``: for chunks
    and for references.
    """

    wire_sent: int
    wire_received: int
    recovered: int
    requests: int


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """Totals of the receiving side at ``timestamp`` (seconds of the clock).

    ``invalid``: messages that were no valid packets. ``unready``: groups that waited for their
    reference or header. ``inbox_dropped``: messages dropped because decoding fell behind.
    ``late``, ``skipped``, ``duplicate``: frames, see ``PlayoutCounts``. ``freezes``: times one
    picture stood longer than 0.2 s; ``longest_freeze`` in seconds. ``concealed``: the part of
    ``frames_shown`` that was made up for frames that did not come. ``playout_time``: seconds by
    which showing lies behind the fastest arrival; ``draw_time``: that drawing takes, of late.
    """

    timestamp: float
    groups: int
    references: int
    payload_bytes: int
    invalid: int
    unready: int
    inbox_dropped: int
    references_given_up: int
    frames_shown: int
    late: int
    skipped: int
    duplicate: int
    freezes: int
    longest_freeze: float
    concealed: int = 0
    playout_time: float = 0.0
    draw_time: float = 0.0


class FreezeMeter:
    """Counts how often the picture stood too long."""

    def __init__(self, threshold: float = FREEZE) -> None:
        self.freezes = 0
        self.longest = 0.0
        self._threshold = threshold
        self._last: float | None = None

    def shown(self, now: float) -> None:
        """A new picture appeared at ``now`` (seconds)."""
        if self._last is not None:
            stood = now - self._last
            self.freezes += stood > self._threshold
            self.longest = max(self.longest, stood)
        self._last = now

    def ended(self, now: float) -> None:
        """The call ended at ``now``: a picture that stood until then may have been a freeze."""
        if self._last is not None and now > self._last:
            self.shown(now)
