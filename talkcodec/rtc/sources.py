# SPDX-License-Identifier: Apache-2.0
"""How many sources of RTP the other end may be.

Each source (SSRC, RFC 3550) gets a table entry in aiortc's router and receivers, is reported on
once a second, and gets keys and a replay window in libsrtp, for good. An end of a call has two,
sound and video. So packets are counted where they are decrypted, the one place that all of them
pass, lines at rest and reports included; and only those that the other end can have made count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pylibsrtp

if TYPE_CHECKING:
    from aiortc import RTCDtlsTransport, RTCPeerConnection

#: Sources of one end: sound, video, video sent again (RFC 4588) and one that only reports, each
#: with a successor.
MAX_SOURCES = 8

#: Bytes that pylibsrtp has room for; beyond it raises what ends aiortc's reading of the connection,
#: without having looked at who sent it.
_ROOM = 1500

#: Where a packet names its source, in bytes.
_IN_RTP, _IN_RTCP = 8, 4


class FewSources:
    """Decrypts like ``session``, for ``MAX_SOURCES``.

    With one more ``refuse`` is called once, with what was expected, and nothing is decrypted.
    """

    def __init__(self, session: pylibsrtp.Session, refuse: Callable[[str], None]) -> None:
        self._session = session
        self._refuse = refuse
        self._sources: set[bytes] = set()
        self._refused = False

    def unprotect(self, packet: bytes) -> bytes:
        """Return a packet of RTP; raises ``pylibsrtp.Error``, as aiortc expects, if it is none."""
        return self._open(self._session.unprotect, packet, _IN_RTP)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """The same for RTCP."""
        return self._open(self._session.unprotect_rtcp, packet, _IN_RTCP)

    def _open(self, decrypt: Callable[[bytes], bytes], packet: bytes, at: int) -> bytes:
        if self._refused or len(packet) > _ROOM:
            raise pylibsrtp.Error("unwanted packet")
        plain = decrypt(packet)
        source = plain[at : at + 4]
        if source not in self._sources:
            if len(self._sources) == MAX_SOURCES:
                self._refused = True
                self._refuse(f"at most {MAX_SOURCES} sources of RTP, found another one")
                raise pylibsrtp.Error("unwanted source")
            self._sources.add(source)
        return plain


def allow_few_sources(connection: RTCPeerConnection, refuse: Callable[[str], None]) -> None:
    """Let the other end of ``connection``, whose lines and channels are there, be few sources.

    aiortc has no setting for it; ``tests/rtc/test_rtp_attacks.py`` fails where it has changed.
    """
    transports = {each.receiver.transport for each in connection.getTransceivers()}
    if connection.sctp is not None:
        transports.add(connection.sctp.transport)
    for transport in transports:
        # Told of "connected" when there are keys and before anything is read with them.
        transport.on("statechange", partial(_enclose, transport, refuse))


def _enclose(transport: RTCDtlsTransport, refuse: Callable[[str], None]) -> None:
    session = getattr(transport, "_rx_srtp", None)
    if isinstance(session, pylibsrtp.Session):
        setattr(transport, "_rx_srtp", FewSources(session, refuse))  # noqa: B010  of another type
