# SPDX-License-Identifier: Apache-2.0
"""RTP beside the data channels: sound, and the ordinary video that stands in for motion.

Both are negotiated when a connection is made, so that using one later costs no round trip; and
both rest until then. aiortc reports on every negotiated stream once a second, used or not
(RFC 3550 section 6.2): two kbit/s for nothing, where a whole call needs ten. So a resting line is
parked on a transport that is not connected, which aiortc's objects take for a short outage.

Packets are encoded by us: aiortc's own encoders start at 250 kbit/s for video and are fixed at
96 for sound.

What of aiortc's we cannot use as it is: its jitter buffers, see ``assembly``; its queues around
decoders, see ``decoding``; and its answers to requests, see ``feedback``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCCertificate,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceTransport,
    RTCRtpSender,
)
from aiortc.mediastreams import MediaStreamError

from talkcodec.clock import Clock
from talkcodec.rtc.assembly import Asking, Assembly, Passage
from talkcodec.rtc.decoding import Decoding, LineKind, private
from talkcodec.rtc.feedback import Repeats, keep_reporting
from talkcodec.rtc.linereport import LineReport, line_report

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection, RTCRtpReceiver
    from aiortc.jitterbuffer import JitterFrame
    from aiortc.rtp import RtpPacket

#: Seconds from the last packet until a line is parked: what aiortc has in hand must get out, for a
#: packet that meets a parked transport ends the stream.
_GRACE = 0.25

#: Packets that wait for aiortc, which takes them at once unless the loop is late; oldest dropped.
WAITING = 16

_CODECS: dict[LineKind, str] = {"audio": "audio/opus", "video": "video/VP8"}
_CLOCKS: dict[LineKind, int] = {"audio": 48_000, "video": 90_000}


class PacketTrack(MediaStreamTrack):
    """Hands encoded packets to aiortc. Belongs to the event loop's thread.

    ``dropped``: packets, oldest first, that aiortc was too late for.
    """

    def __init__(self, kind: LineKind) -> None:
        super().__init__()
        self.kind = kind
        self.dropped = 0
        self._base = Fraction(1, _CLOCKS[kind])
        self._packets: asyncio.Queue[av.Packet[Any]] = asyncio.Queue(WAITING)

    def put(self, data: bytes, pts: int) -> None:
        """Queue one encoded picture or packet of sound; ``pts`` in units of the RTP clock."""
        packet = av.Packet(data)
        packet.pts, packet.time_base = pts, self._base
        if self._packets.full():
            self._packets.get_nowait()
            self.dropped += 1
        self._packets.put_nowait(packet)

    def __len__(self) -> int:
        return self._packets.qsize()

    def __bool__(self) -> bool:
        return True  # a track without packets is a track

    def clear(self) -> None:
        """Forget the packets that wait."""
        while not self._packets.empty():
            self._packets.get_nowait()

    async def recv(self) -> av.Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._packets.get()


def _set_buffers(receiver: RTCRtpReceiver, kind: LineKind) -> None:
    """Give ``receiver`` buffers of ours. aiortc has no setting for it, and never promised one.

    Where its attributes are gone media come as aiortc sees fit, later and with longer gaps.
    """
    names = ["jitter_buffer", "nack_generator", "codecs", "timestamp_mapper", "decoder_queue"]
    if not all(hasattr(receiver, private(name)) for name in names):
        return
    if kind == "audio":
        setattr(receiver, private("jitter_buffer"), Passage())
        return

    def hand_over(frame: JitterFrame, packet: RtpPacket) -> None:
        """Do with ``frame`` what aiortc does with the one that it is returned."""
        codecs, mapper, decoder = (getattr(receiver, private(name)) for name in names[2:])
        frame.timestamp = mapper.map(frame.timestamp)
        decoder.put((codecs[packet.payload_type], frame))

    setattr(receiver, private("jitter_buffer"), Assembly(hand_over))
    setattr(receiver, private("nack_generator"), Asking())


class Line:
    """One RTP stream each way. Make it before the offer or answer; rests until woken.

    ``refused``: packets given while it rested.
    """

    def __init__(
        self, connection: RTCPeerConnection, kind: LineKind, clock: Clock | None = None
    ) -> None:
        self.kind = kind
        self.refused = 0
        self._connection = connection
        self._track = PacketTrack(kind)
        self._transceiver = connection.addTransceiver(self._track, "sendrecv")
        capable = RTCRtpSender.getCapabilities(kind).codecs
        chosen = [codec for codec in capable if codec.mimeType == _CODECS[kind]]
        self._transceiver.setCodecPreferences(chosen)
        self._decoding = Decoding(self._transceiver.receiver, kind, clock)
        _set_buffers(self._transceiver.receiver, kind)
        keep_reporting(self._transceiver.receiver)
        self._repeats = Repeats(self._transceiver.sender, clock)
        self._nowhere: RTCDtlsTransport | None = None
        self._sending = False
        self._parking: asyncio.TimerHandle | None = None

    @property
    def dropped(self) -> int:
        """Packets that did not go out: given too fast, or while the line rested."""
        return self._track.dropped + self.refused

    @property
    def waiting(self) -> int:
        """Packets that wait for aiortc to take them."""
        return len(self._track)

    def settle(self) -> None:
        """Come to rest; call once when the connection stands."""
        ice = RTCIceTransport(RTCIceGatherer(iceServers=[]))
        self._nowhere = RTCDtlsTransport(ice, [RTCCertificate.generateCertificate()])
        self._park()
        self.listen(on=False)

    def send(self, *, on: bool) -> None:
        """Let packets and sender reports out, or nothing."""
        if on == self._sending or self._nowhere is None:
            return
        self._sending = on
        if self._parking is not None:
            self._parking.cancel()
            self._parking = None
        if on:
            self._transceiver.sender.setTransport(self._real)
        else:
            self._track.clear()
            self._parking = asyncio.get_running_loop().call_later(_GRACE, self._park)

    def put(self, data: bytes, pts: int) -> None:
        """Send one encoded picture or packet of sound; ``pts`` in units of the RTP clock."""
        if self._sending:
            self._track.put(data, pts)
        else:
            self.refused += 1

    def listen(self, *, on: bool) -> None:
        """Let receiver reports and requests for lost packets out, or nothing.

        What arrives is taken either way, and bounded either way.
        """
        if self._nowhere is not None:
            self._transceiver.receiver.setTransport(self._real if on else self._nowhere)

    async def frames(self) -> AsyncIterator[Any]:
        """Yield what the other side sends, decoded, as it comes, until the connection is gone.

        They are ``av.AudioFrame`` or ``av.VideoFrame``, by the line's kind.
        """
        track = self._transceiver.receiver.track
        while track is not None:
            try:
                yield await track.recv()
            except MediaStreamError:
                return

    async def report(self) -> LineReport | None:
        """Return what the other side told last of how packets come, None before it did."""
        report = line_report((await self._transceiver.sender.getStats()).values())
        if report is not None and report.rtt is not None:
            self._repeats.rtt = report.rtt
        return report

    def close(self) -> None:
        """Cancel the timer; the connection closes the rest."""
        if self._parking is not None:
            self._parking.cancel()

    async def ended(self) -> None:
        """Wait for the decoding thread; call when the connection is closed."""
        await self._decoding.ended()

    @property
    def _real(self) -> RTCDtlsTransport:
        sctp = self._connection.sctp
        if sctp is None:
            raise RuntimeError("expected data channels beside a line, found none")
        return sctp.transport

    def _park(self) -> None:
        self._parking = None
        if self._nowhere is not None:
            self._transceiver.sender.setTransport(self._nowhere)
