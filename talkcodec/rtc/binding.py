# SPDX-License-Identifier: Apache-2.0
"""What a DTLS connection gives us to tell who is at its other end.

aiortc shows neither the certificates nor the exporter, so this is the one place that looks inside
``RTCDtlsTransport``; ``tests/rtc/test_binding.py`` fails when an aiortc has it elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from talkcodec.errors import SignalingError
from talkcodec.rtc.sas import short_authentication_string

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

#: RFC 5705, and experimental as that wants it.
_EXPORTER = b"EXPERIMENTAL-talkcodec-continuity"

_PROOF = re.compile(r"a=x-talkcodec-proof:(\d{1,9}) ([0-9a-f]{64})")
_FINGERPRINT = re.compile(r"a=fingerprint:sha-256 ([0-9A-F:]{95})", re.IGNORECASE)

Role = Literal["offer", "answer"]


@dataclass(frozen=True, slots=True)
class Binding:
    """``certificates``: own and the other end's (DER). ``key``: 32 bytes only the two ends know."""

    certificates: tuple[bytes, bytes]
    key: bytes

    @property
    def words(self) -> str:
        """The short authentication string of the connection; see ``sas.py``."""
        return short_authentication_string(*self.certificates)


def binding(connection: RTCPeerConnection) -> Binding:
    """Return the binding of a connection that stands. Raises ``SignalingError`` if it does not."""
    from cryptography.hazmat.primitives.serialization import Encoding

    sctp = connection.sctp
    tls = sctp.transport._ssl if sctp is not None else None  # noqa: SLF001  see above
    if tls is None or sctp is None or not sctp.transport.encrypted:
        raise SignalingError("expected a connection that stands, found none")
    own, theirs = (
        tls.get_certificate(as_cryptography=True),
        tls.get_peer_certificate(as_cryptography=True),
    )
    if own is None or theirs is None:  # pragma: no cover  DTLS has just checked them
        raise SignalingError("expected certificates of both ends, found one missing")
    certificates = own.public_bytes(Encoding.DER), theirs.public_bytes(Encoding.DER)
    return Binding(certificates, tls.export_keying_material(_EXPORTER, 32))


class Continuity:
    """Proves to the other end, when a connection is made again, that we are still who we were.

    New connections have new certificates, and nobody compares words a second time. So every
    description after the first connection carries an HMAC, with a key of that connection, of its
    own fingerprint; whoever sits in the signaling now and did not sit in the first connection,
    which the words would have shown, has no such key. Counts keep old proofs from being used
    again.
    """

    def __init__(self) -> None:
        self._key: bytes | None = None
        self._given = 0
        self._taken = 0

    @property
    def established(self) -> bool:
        """Whether there was a first connection, so that proofs are needed."""
        return self._key is not None

    def establish(self, key: bytes) -> None:
        """Take the key of the first connection; later ones change nothing."""
        self._key = self._key or key

    def sign(self, role: Role, sdp: str) -> str:
        """Return ``sdp``, the ``role`` that this end plays, with a proof if one is needed."""
        if self._key is None:
            return sdp
        self._given += 1
        proof = f"a=x-talkcodec-proof:{self._given} {self._mac(role, self._given, sdp)}\r\n"
        head, mark, rest = sdp.partition("m=")
        return head + proof + mark + rest

    def accepts(self, role: Role, sdp: str) -> bool:
        """Return whether ``sdp`` is of the end that the first connection was with."""
        if self._key is None:
            return True
        found = _PROOF.findall(sdp)
        if len(found) != 1 or not _FINGERPRINT.search(sdp):
            return False
        count = int(found[0][0])
        if count <= self._taken or not hmac.compare_digest(
            found[0][1], self._mac(role, count, sdp)
        ):
            return False
        self._taken = count
        return True

    def sign_renewal(self) -> str:
        """Return the proof that a ``Renew`` carries."""
        if self._key is None:
            return ""
        self._given += 1
        return f"{self._given} {self._hmac(f'renew {self._given}')}"

    def accepts_renewal(self, proof: str) -> bool:
        """Return whether a ``Renew`` is of the end that the first connection was with."""
        if self._key is None:
            return True
        count, _, mac = proof.partition(" ")
        if not (count.isdecimal() and len(count) < 10 and int(count) > self._taken):
            return False
        if not hmac.compare_digest(mac, self._hmac(f"renew {int(count)}")):
            return False
        self._taken = int(count)
        return True

    def _mac(self, role: Role, count: int, sdp: str) -> str:
        # The guard has seen to it that all sections name one certificate.
        match = _FINGERPRINT.search(sdp)
        if match is None:
            raise SignalingError("expected a fingerprint by sha-256, found none")
        return self._hmac(f"{role} {count} {match[1].upper()}")

    def _hmac(self, text: str) -> str:
        return hmac.new(self._key or b"", text.encode(), hashlib.sha256).hexdigest()
