# SPDX-License-Identifier: Apache-2.0
"""From packet sizes to kbit/s, alone and with what the network adds to them.

The channel's constants were measured on a pair of aiortc 1.16 peers over IPv4 (figures in
tests/bench/test_rates.py), RTP's are its header sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

#: IPv4 20 + UDP 8 + RTP 12 + SRTP tag 10 + payload header about 4.
RTP_HEADER = 54
#: Media bytes in one RTP packet of a 1200-byte datagram.
RTP_PAYLOAD = 1200 - 54
#: IPv4, UDP, DTLS, SCTP and chunk headers of one data channel message.
CHANNEL_HEADER = 95
#: The selective acknowledgement that answers each of them.
CHANNEL_ACK = 93
#: Media bytes in one data channel message: longer ones are sent in parts.
CHANNEL_PAYLOAD = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """Mean rates of a clip in kbit/s."""

    payload: float
    #: Both directions, headers and acknowledgements included.
    wire: float


def rtp_rate(packets: Sequence[int], seconds: float) -> Rate:
    """Rate of frames sent over RTP, split at :data:`RTP_PAYLOAD` bytes."""
    datagrams = sum(ceil(size / RTP_PAYLOAD) for size in packets)
    return _rate(sum(packets), RTP_HEADER * datagrams, seconds)


def channel_rate(packets: Sequence[int], seconds: float) -> Rate:
    """Rate of messages sent over an SCTP data channel, each part acknowledged."""
    messages = sum(ceil(size / CHANNEL_PAYLOAD) for size in packets)
    return _rate(sum(packets), (CHANNEL_HEADER + CHANNEL_ACK) * messages, seconds)


def _rate(payload: int, overhead: int, seconds: float) -> Rate:
    if seconds <= 0:
        raise ValueError(f"expected a positive duration, found {seconds} s")
    scale = 8 / 1000 / seconds
    return Rate(payload * scale, (payload + overhead) * scale)
