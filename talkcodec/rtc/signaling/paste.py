# SPDX-License-Identifier: Apache-2.0
"""Meeting without any server: each end prints one line, and people carry it to the other.

A line is ``talkcodec1:`` and base64url of: CRC-32 of the rest (4 bytes, big endian), what it is
(1 byte: 1 an offer, 2 an answer), the attempt (2 bytes), and the description, deflated with a
dictionary of what all of them say. That makes some 560 characters of a call's 3400, and 50 more
for each further address: below the 4095 that a terminal takes in one line.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
import sys
import zlib
from collections.abc import Callable

from talkcodec.errors import SignalingError
from talkcodec.rtc.guard import MAX_CHARACTERS
from talkcodec.rtc.signaling.protocol import Answer, Message, Offer, Ready

PREFIX = "talkcodec1:"

#: Characters of a line at most: more is no line of ours.
MAX_LINE = 16_000

#: Seconds in which people carry a line, do something else first, and carry one back.
PATIENCE = 900.0

_KINDS: dict[int, type[Offer | Answer]] = {1: Offer, 2: Answer}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}

#: What descriptions of aiortc have in common; the commonest last, as deflate likes it.
_DICTIONARY = (
    b"a=fmtp:97 apt=96\r\na=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id"
    b"=42001f\r\na=rtpmap:101 H264/90000\r\na=rtcp-fb:97 nack\r\na=rtcp-fb:97 nack pli\r\n"
    b"a=rtcp-fb:97 goog-remb\r\na=rtpmap:97 VP8/90000\r\na=rtpmap:98 rtx/90000\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n"
    b"a=rtpmap:96 opus/48000/2\r\na=ssrc:cname:\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=rtcp-mux\r\n"
    b"a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:2 urn:ietf:params:rtp-hdrext:"
    b"ssrc-audio-level\r\na=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    b"m=audio UDP/TLS/RTP/SAVPF 96 9 0 8\r\nm=video UDP/TLS/RTP/SAVPF 97 98 99 100 101 102\r\n"
    b"a=sendrecv\r\na=recvonly\r\na=msid:\r\na=setup:active\r\na=setup:passive\r\n typ srflx raddr "
    b" rport typ relay\r\na=fingerprint:sha-384 \r\na=fingerprint:sha-512 \r\n"
    b"v=0\r\no=- 400 400 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"
    b"a=msid-semantic:WMS *\r\nm=application UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 192.168."
    b"\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\na=candidate: 1 udp 169449881 "
    b"5 typ host\r\na=candidate: 1 udp 2130706431 192.168. typ host\r\na=end-of-candidates\r\n"
    b"a=ice-ufrag:\r\na=ice-pwd:\r\na=fingerprint:sha-256 \r\na=setup:actpass\r\n"
)

_CUT = "expected a line copied whole, found one that was cut or changed"

_REDUNDANT = re.compile(r"a=fingerprint:sha-(?:384|512) .*\r?\n")


def to_line(message: Offer | Answer) -> str:
    """Return ``message`` as one line.

    Of a certificate's fingerprints only the one by SHA-256 is kept: one is all it takes.
    """
    sdp = message.sdp
    if "a=fingerprint:sha-256 " in sdp:
        sdp = _REDUNDANT.sub("", sdp)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=_DICTIONARY)
    body = deflate.compress(sdp.encode("ascii")) + deflate.flush()
    head = bytes((_NUMBERS[type(message)],)) + message.attempt.to_bytes(2, "big")
    check = zlib.crc32(head + body).to_bytes(4, "big")
    return PREFIX + base64.urlsafe_b64encode(check + head + body).decode().rstrip("=")


def from_line(text: str) -> Offer | Answer:
    """Return the message of a line. Raises ``SignalingError`` for anything else."""
    text = text.strip().strip("'\"`<>")
    if not text.startswith(PREFIX) or len(text) > MAX_LINE:
        raise SignalingError(
            f"expected a line that begins with {PREFIX}, found {text[:20]!r} ({len(text)} long)"
        )
    code = text[len(PREFIX) :]
    try:
        data = base64.b64decode(code + "=" * (-len(code) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise SignalingError(_CUT) from None
    check, head, body = data[:4], data[4:7], data[7:]
    if len(head) < 3 or zlib.crc32(head + body).to_bytes(4, "big") != check:
        raise SignalingError(_CUT)
    kind = _KINDS.get(head[0])
    if kind is None:
        raise SignalingError(f"expected an offer or an answer, found kind {head[0]}")
    try:
        return kind(_inflate(body).decode("ascii"), int.from_bytes(head[1:], "big"))
    except ValueError as error:
        raise SignalingError(f"expected a session description, found: {error}") from None


def _inflate(body: bytes) -> bytes:
    inflate = zlib.decompressobj(-15, zdict=_DICTIONARY)
    try:
        data = inflate.decompress(body, MAX_CHARACTERS)
    except zlib.error as error:
        raise ValueError(f"{error}") from None
    if not inflate.eof:
        raise ValueError(f"more than {MAX_CHARACTERS} characters, or not all of them")
    return data


class PasteSignaling:
    """One end that prints lines and reads lines; see ``protocol.Signaling``.

    ``show`` is given the line to be carried to the other end. Lines come from the file descriptor
    ``source``. A line that is none is told by ``complain``, and the next one is waited for.
    """

    def __init__(
        self,
        *,
        offers: bool,
        show: Callable[[str], None],
        complain: Callable[[str], None],
        source: int | None = None,
    ) -> None:
        self._offers = offers
        self._show = show
        self._complain = complain
        self._lines = LineReader(sys.stdin.fileno() if source is None else source)
        self._ready = offers

    @property
    def offers(self) -> bool:
        return self._offers

    @property
    def patience(self) -> float:
        return PATIENCE

    @property
    def lasts(self) -> bool:
        return False  # nobody waits to carry lines while a call goes on

    async def send(self, message: Message) -> None:
        # Only descriptions are worth carrying: that a call ended, its channels say themselves.
        if isinstance(message, (Offer, Answer)):
            self._show(to_line(message))

    async def receive(self) -> Message:
        if self._ready:
            self._ready = False
            return Ready()
        wanted = Answer if self._offers else Offer
        while True:
            line = await self._lines.read()
            if line is None:
                raise SignalingError("expected a line of the other side, found the end of input")
            if not line.strip():
                continue
            try:
                message = from_line(line)
            except SignalingError as error:
                self._complain(str(error))
                continue
            if isinstance(message, wanted):
                return message
            self._complain(f"expected the other side's {wanted.name}, found an {message.name}")

    async def close(self) -> None:
        self._lines.close()


class LineReader:
    """Reads lines of ``MAX_LINE`` bytes at most; what is longer is cut there.

    Waits on the event loop where the system can, and not in a thread: a thread that reads standard
    input cannot be ended.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._held = bytearray()
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None

    async def read(self) -> str | None:
        """Return the next line without its end, or None after the last one."""
        while True:
            line, mark, rest = self._held.partition(b"\n")
            if mark or self._ended or len(self._held) > MAX_LINE:
                break
            piece = await self._piece()
            self._ended = not piece
            self._held += piece
        if not mark and self._ended and not self._held:
            return None
        self._held = rest
        return line.decode("ascii", "replace").rstrip("\r")

    def close(self) -> None:
        """End a wait under way."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.cancel()

    async def _piece(self) -> bytes:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        try:
            loop.add_reader(self._source, self._arrived)
        except (NotImplementedError, PermissionError):
            # Windows, where only a thread can wait; or a file, which never makes one wait.
            return await asyncio.to_thread(os.read, self._source, 4096)
        try:
            await self._waiting
        finally:
            loop.remove_reader(self._source)
        return os.read(self._source, 4096)

    def _arrived(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
