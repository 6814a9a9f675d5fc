# SPDX-License-Identifier: Apache-2.0
"""RTP packets to pieces that can be decoded, in place of aiortc's jitter buffers.

aiortc's buffer for sound holds four packets back, and after a loss up to sixteen, for good, and
throws away whole ones around each gap: at 5 % loss 47 % of the blocks were missing and the rest
came 300 ms late. ``SoundPlayout`` orders and waits by itself, so sound passes by that buffer.

That for video hands out one picture with each packet, so at our rates, a packet a picture, it
stays behind by what had to wait once for a packet; asks for a lost packet once; and waits for 64
packets (2.5 s) where that was in vain, though a key picture may have come meanwhile. In a call of
2.5 minutes at 5 % loss, 50 ms round trip, pictures then stood 13 times, up to 2.2 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiortc.jitterbuffer import JitterFrame
from aiortc.utils import uint16_gt

if TYPE_CHECKING:
    from aiortc.rtp import RtpPacket

#: Packets of video that wait for one before them; beyond that only a key picture can help.
CAPACITY = 64

#: Sides in pixels of the largest picture that is decoded: that of the larger canvas. (What a page
#: of ``call --web`` sends to the program beside it does not come this way.)
LARGEST = 512

#: Seconds until a packet that was asked for is asked for again, by what factor that grows, and how
#: often it is asked for.
_AGAIN, _SLOWER, _ASKED = 0.08, 1.5, 4

#: Ticks a second of video's RTP clock.
_CLOCK = 90_000

#: Packets asked for at a time at most, the newest; a peer chooses how far its numbers jump.
_MISSING = 64


class Passage:
    """Sound: a packet is a piece, and goes on at once.

    One that another has overtaken is dropped: nothing behind it could take it any more.
    """

    def __init__(self) -> None:
        self._newest: int | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        newest = self._newest
        if newest is not None and not uint16_gt(packet.sequence_number, newest):
            return False, None
        self._newest = packet.sequence_number
        data = _data(packet)
        return False, JitterFrame(data, packet.timestamp) if data else None


class Assembly:
    """Video: whole VP8 pictures, in order; a key picture does not wait for what came before it.

    aiortc takes one picture with each packet; where a packet completes several, all but the last
    go to ``hand_over`` first, with a packet of theirs. After a gap that nothing filled, pictures
    are dropped until a key picture: what was decoded without all before it would be wrong. So are
    pictures larger than ``LARGEST``, which would cost memory and time that no call needs.
    """

    def __init__(self, hand_over: Callable[[JitterFrame, RtpPacket], None]) -> None:
        self._hand_over = hand_over
        self._packets: dict[int, RtpPacket] = {}
        self._newest: int | None = None
        self._next: int | None = None
        self._barred = False

    def __len__(self) -> int:
        """How many packets wait."""
        return len(self._packets)

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take a packet; return whether something is lost for good, and the newest picture."""
        number = _unwrap(packet.sequence_number, self._newest)
        self._newest = number if self._newest is None else max(self._newest, number)
        if self._next is not None and number < self._next:
            return False, None
        self._packets[number] = packet
        whole = [found for found in iter(self._take, None) if self._fits(found[0].data)]
        full = len(self._packets) > CAPACITY
        if full:
            del self._packets[min(self._packets)]
        lost, self._next = full and self._next is not None, None if full else self._next
        for frame, last in whole[:-1]:
            self._hand_over(frame, last)
        return lost, whole[-1][0] if whole else None

    def _take(self) -> tuple[JitterFrame, RtpPacket] | None:
        """Return the next picture that is complete, and its last packet."""
        first = self._next
        packets = [] if first is None else self._picture(first)
        if not packets:
            first = next((n for n in sorted(self._packets) if self._begins_key(n)), None)
            if first is None:
                return None
            packets = self._picture(first)
        assert first is not None  # it has packets
        self._next = first + len(packets)
        self._packets = {n: p for n, p in self._packets.items() if n >= self._next}
        data = b"".join(_data(packet) for packet in packets)
        return JitterFrame(data, packets[0].timestamp), packets[-1]

    def _picture(self, first: int) -> list[RtpPacket]:
        """Return the packets of the picture that begins with number ``first``, if all are here."""
        packets: list[RtpPacket] = []
        while (packet := self._packets.get(first + len(packets))) is not None:
            if packets and packet.timestamp != packets[0].timestamp:
                return packets
            packets.append(packet)
            if packet.marker:
                return packets
        return []

    def _begins_key(self, number: int) -> bool:
        """Return whether a complete key picture begins with packet ``number``."""
        return is_key(_data(self._packets[number])) and bool(self._picture(number))

    def _fits(self, data: bytes) -> bool:
        """Return whether a picture, or the key picture that it goes on from, may be decoded."""
        if is_key(data):
            sides = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
            self._barred = max(sides) > LARGEST
        return not self._barred


class Asking:
    """Which packets of video to ask for, again where asking was in vain (RFC 4585, 6.2.1).

    aiortc sends a request for ``missing`` whenever ``add`` returns True. Time is that of the
    packets' own stamps: where none come there is nothing to ask by.
    """

    def __init__(self) -> None:
        self.missing: set[int] = set()
        self._newest: int | None = None
        self._open: dict[int, tuple[int, int]] = {}

    def add(self, packet: RtpPacket) -> bool:
        """Take a packet that came; return whether to ask now."""
        number, stamp = _unwrap(packet.sequence_number, self._newest), packet.timestamp
        newest = number if self._newest is None else self._newest
        for lost in range(max(newest + 1, number - _MISSING), number):
            self._open[lost] = 0, stamp
        self._newest = max(newest, number)
        self._open.pop(number, None)
        due: set[int] = set()
        for lost, (asked, since) in list(self._open.items()):
            wait = _AGAIN * _SLOWER ** (asked - 1) * _CLOCK if asked else 0.0
            if asked == _ASKED or lost < self._newest - _MISSING:
                del self._open[lost]
            elif _passed(since, stamp) >= wait:
                self._open[lost] = asked + 1, stamp
                due.add(lost % 65536)
        self.missing = due
        return bool(due)


def _passed(since: int, stamp: int) -> int:
    """Return the ticks between two stamps, negative for a ``stamp`` of a packet sent again."""
    return (stamp - since + (1 << 31)) % (1 << 32) - (1 << 31)


def _unwrap(number: int, newest: int | None) -> int:
    """Return the number that ``number`` stands for, modulo 65536, next to ``newest``."""
    if newest is None:
        return number
    return newest + (number - newest + 32768) % 65536 - 32768


def is_key(data: bytes) -> bool:
    """Return whether ``data`` begins as a key picture of VP8 does (RFC 6386, 9.1)."""
    return data[3:6] == b"\x9d\x01\x2a" and not data[0] & 1


def _data(packet: RtpPacket) -> bytes:
    """Return what aiortc found in a packet behind the payload's own header."""
    data: bytes = getattr(packet, "_data", b"")
    return data
