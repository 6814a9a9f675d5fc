# SPDX-License-Identifier: Apache-2.0
"""A peer that does as it likes: aiortc without the manners of ours."""

from __future__ import annotations

import asyncio

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket

from talkcodec.rtc.call import Call
from talkcodec.rtc.peer import Peer

#: Types of payload that our offer gives to Opus and to VP8.
SOUND, VIDEO = 96, 97


class Attacker:
    """Connects to one of ours. ``media``: whether it takes part in sound and video as well."""

    def __init__(self, *, media: bool = False) -> None:
        self.connection = RTCPeerConnection()
        self.victim = Peer(lambda _channel, _data: None)
        self._media = media

    async def connect(self, call: Call | None = None) -> None:
        """Connect to ``call``, or to the bare ``victim``."""
        for number, name in enumerate(("motion", "reference", "control"), 1):
            self.connection.createDataChannel(
                name, ordered=number == 3, maxRetransmits=0 if number < 3 else None,
                negotiated=True, id=number,
            )  # fmt: skip
        end = call or self.victim
        offer = await end.offer()
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        if self._media:
            for transceiver in self.connection.getTransceivers():
                transceiver.direction = "sendrecv"
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await end.accept(self.connection.localDescription.sdp)
        if call is None:
            await self.victim.opened()

    async def send(
        self,
        payload_type: int,
        number: int,
        *,
        source: int = 1,
        timestamp: int | None = None,
        data: bytes = b"",
    ) -> bool:
        """Send one packet of RTP; return whether there is still somebody to send to.

        ``timestamp``: 40 ms a packet where none is given, in units of video's clock.
        """
        packet = RtpPacket(
            payload_type=payload_type,
            marker=1,
            sequence_number=number % 65536,
            timestamp=(3600 * number if timestamp is None else timestamp) % (1 << 32),
            ssrc=source,
            payload=data,
        )
        return await self.send_raw(packet.serialize())

    async def send_raw(self, data: bytes) -> bool:
        """Encrypt and send ``data``, of RTP or RTCP; return as ``send``."""
        sctp = self.connection.sctp
        assert sctp is not None
        try:
            await sctp.transport._send_rtp(data)
        except ConnectionError:
            return False
        await asyncio.sleep(0)
        return not self.victim.closed.is_set()

    async def close(self) -> None:
        await self.connection.close()
        await self.victim.close()
