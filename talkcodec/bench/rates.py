# SPDX-License-Identifier: Apache-2.0
"""From packet sizes to kbit/s, alone and with what the network adds to them.

Ours is counted as a call sends it (``talkcodec.rtc``): a message for each group, references in
chunks with their answers, and the receiver's reports. The channel's constants
were measured on a pair of aiortc 1.16 peers over IPv4 (figures in tests/bench/test_rates.py),
RTP's are its header sizes. Classical codecs are charged neither RTCP nor header extensions,
nobody the handshake and keep-alive, nor repairs: nothing is lost here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from talkcodec.bitstream.chunks import fragment
from talkcodec.bitstream.control import Acknowledge, serialize_control
from talkcodec.bitstream.report import Arrival, PathReport
from talkcodec.types import PacketKind

#: IPv4 20 + UDP 8 + RTP 12 + SRTP tag 10; the payload header depends on the codec.
RTP_HEADER = 50
#: Media bytes in one RTP packet of a 1200-byte datagram.
RTP_PAYLOAD = 1200 - 54
#: IPv4, UDP, DTLS, SCTP and chunk headers of one data channel message.
CHANNEL_HEADER = 95
#: The selective acknowledgement that answers each of them.
CHANNEL_ACK = 93
#: Bytes of a reference's chunk at most, as ``talkcodec.rtc.references.PaceConfig`` has it.
CHUNK = 450
#: Seconds between the receiver's reports, as ``talkcodec.rtc.receiving`` has it.
REPORT_INTERVAL = 2.0
#: Groups a second that a report lists: 25 frames a second in threes.
GROUPS = 25 / 3
#: Parity chunks of a reference on a clean path.
PARITY = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """Mean rates of a clip in kbit/s."""

    payload: float
    #: Both directions, headers and acknowledgements included.
    wire: float


def rtp_rate(packets: Sequence[int], seconds: float, payload_header: int) -> Rate:
    """Rate of frames sent over RTP, split at :data:`RTP_PAYLOAD` bytes.

    ``payload_header``: bytes that the codec's payload format adds to each RTP packet.
    """
    datagrams = sum(ceil(size / RTP_PAYLOAD) for size in packets)
    wire = sum(packets) + (RTP_HEADER + payload_header) * datagrams
    return _rate(sum(packets), wire, seconds)


def channel_rate(
    packets: Sequence[int], seconds: float, kinds: Sequence[PacketKind] | None = None
) -> Rate:
    """Rate of a stream's ``packets`` (bytes each) over a call's data channels.

    ``kinds``: of each packet; None: all are motion. Payload is the packets alone.
    """
    known: Sequence[PacketKind] = ["motion"] * len(packets) if kinds is None else kinds
    wire = reports_wire(seconds)
    for size, kind in zip(packets, known, strict=True):
        wire += reference_wire(size) if kind == "reference" else message_wire(size)
    return _rate(sum(packets), wire, seconds)


def message_wire(size: int) -> int:
    """Bytes on the wire, both directions, of one message of ``size`` bytes."""
    return CHANNEL_HEADER + size + CHANNEL_ACK


def reference_wire(size: int) -> int:
    """Bytes on the wire of a reference of ``size`` bytes: its chunks and the answer to them."""
    chunks = [chunk.serialize() for chunk in fragment(bytes(size), 0, CHUNK, PARITY)]
    answer = len(serialize_control(Acknowledge(0)))
    # Each chunk is answered by a short report, that the next may leave.
    report = len(PathReport(0, 0, 0, (Arrival(0, 0, chunk=True),), (0, 1, 2, 3)).serialize())
    both = sum(message_wire(len(chunk)) + message_wire(report) for chunk in chunks)
    return both + message_wire(answer)


def reports_wire(seconds: float) -> float:
    """Bytes on the wire, on average, of the receiver's reports in ``seconds`` of a call."""
    # A few seconds into a call, with a bank of four.
    arrivals = tuple(Arrival(0, 0) for _ in range(round(GROUPS * REPORT_INTERVAL)))
    report = PathReport(0, 0, 120, arrivals, (0, 1, 2, 3)).serialize()
    return message_wire(len(report)) * seconds / REPORT_INTERVAL


def _rate(payload: int, wire: float, seconds: float) -> Rate:
    if seconds <= 0:
        raise ValueError(f"expected a positive duration, found {seconds} s")
    scale = 8 / 1000 / seconds
    return Rate(payload * scale, wire * scale)
