# SPDX-License-Identifier: Apache-2.0
"""RTCP of aiortc's where the other end chooses what it makes of it.

Reports: aiortc packs into fields of fixed size what it computes from the other end's stamps and
counts. One value too large ends the task that reports, and whoever stops the receiver waits for
that task's last line for ever.

Requests for lost packets: aiortc answers each number of a request, repeated ones too. A request of
1400 bytes can name 6000, which are 7 MB sent, in one turn of the event loop. On a narrow path the
other end asks again for what stands in a queue, and each copy makes that longer. And a request that
comes when a line has come to rest ends the connection.
"""

from __future__ import annotations

import contextlib
import struct
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiortc.rtp import RTCP_RTPFB_NACK, AnyRtcpPacket, RtcpRtpfbPacket

from talkcodec.clock import Clock, SystemClock
from talkcodec.rtc.decoding import private
from talkcodec.rtc.limits import Rate, TokenBucket

if TYPE_CHECKING:
    from aiortc import RTCRtpReceiver, RTCRtpSender

#: Packets sent again. aiortc remembers 128; at 30 % loss ours are asked for 20 a second.
REPEATS = Rate(per_second=60.0, burst=128.0)

#: Packets of which is known when they were sent again; and seconds on top of a round trip for which
#: one is thought to be on its way.
REMEMBERED, _MARGIN = 128, 0.02


def keep_reporting(receiver: RTCRtpReceiver) -> None:
    """Let ``receiver``, which has not begun, leave out reports that cannot be packed.

    aiortc has no setting for it; ``tests/rtc/test_rtp_attacks.py`` fails where it has changed.
    """
    run: Callable[[], Awaitable[None]] | None = getattr(receiver, "_run_rtcp", None)
    exited = getattr(receiver, private("rtcp_exited"), None)
    if run is None or exited is None:
        return

    async def report() -> None:
        try:
            while True:
                try:
                    await run()  # until it is cancelled, which it keeps to itself
                except struct.error:  # waits before it reports again
                    continue
                return
        finally:
            exited.set()

    setattr(receiver, run.__name__, report)


class Repeats:
    """Lets ``sender`` send again each packet that a request names once, and ``REPEATS`` in all.

    Not again while the last copy may be on its way: ``rtt``, seconds, queues included, is what the
    caller knows of that. ``refused`` counts those that were too many, ``early`` those too early.
    """

    def __init__(self, sender: RTCRtpSender, clock: Clock | None = None) -> None:
        self.rtt = 0.0
        self.early = 0
        self._clock = clock or SystemClock()
        self._allowed = TokenBucket(REPEATS)
        self._repeated: OrderedDict[int, float] = OrderedDict()
        self._handle = sender._handle_rtcp_packet  # noqa: SLF001  there is no other way in
        sender._handle_rtcp_packet = self._take  # type: ignore[method-assign]  # noqa: SLF001

    @property
    def refused(self) -> int:
        """Packets that were asked for too often."""
        return self._allowed.refused

    async def _take(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            now = self._clock.now()
            named = dict.fromkeys(packet.lost)
            packet.lost = [number for number in named if self._grant(number, now)]
        # The line rests. Were the connection gone, reading from it would tell.
        with contextlib.suppress(ConnectionError):
            await self._handle(packet)

    def _grant(self, number: int, now: float) -> bool:
        """Return whether the packet ``number`` may be sent again now, and note that it is."""
        before = self._repeated.get(number)
        if before is not None and now - before < self.rtt + _MARGIN:
            self.early += 1
            return False
        if not self._allowed.take(now):
            return False
        self._repeated.pop(number, None)
        self._repeated[number] = now
        if len(self._repeated) > REMEMBERED:
            self._repeated.popitem(last=False)
        return True
