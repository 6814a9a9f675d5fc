# SPDX-License-Identifier: Apache-2.0
"""Watches what the other end makes aiortc keep.

aiortc opens every data channel that the other end asks for, and collects fragments of a message
until its last one comes, whatever window it had announced. Neither has a bound, and neither is
needed here: a call has three channels, and every message of ours fits one SCTP chunk. So an end
that opens another channel, or leaves more than ``MAX_HELD`` bytes unfinished, is cut off. So is one
that sends RTP from ever new sources (``sources``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from talkcodec.rtc.sources import allow_few_sources

if TYPE_CHECKING:
    from aiortc import RTCDataChannel, RTCPeerConnection

#: Bytes of unfinished messages. Only what waits on the reliable channel for a lost message counts.
MAX_HELD = 256 << 10

#: Seconds between looks.
_STEP = 0.25

#: What aiortc announces as its window at first.
_WINDOW = 1024 * 1024


def held(connection: RTCPeerConnection) -> int:
    """Return the bytes that the connection keeps of unfinished messages."""
    sctp = connection.sctp
    return 0 if sctp is None else _WINDOW - sctp._advertised_rwnd  # noqa: SLF001  not shown else


class HoardWatch:
    """``refuse`` is called once, with the reason, when the other end asks too much."""

    def __init__(self, connection: RTCPeerConnection, refuse: Callable[[str], None]) -> None:
        self._connection = connection
        self._refuse = refuse
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        connection.on("datachannel", self._opened)
        allow_few_sources(connection, self._object)
        self._look()

    def close(self) -> None:
        """Look no more; may be called again."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _opened(self, _channel: RTCDataChannel) -> None:
        self._object("the channels of a call, found another one opened")

    def _look(self) -> None:
        if held(self._connection) > MAX_HELD:
            self._object(f"whole messages, found more than {MAX_HELD} bytes unfinished")
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(_STEP, self._look)

    def _object(self, what: str) -> None:
        if not self._closed:
            self.close()
            self._refuse(f"expected {what}")
