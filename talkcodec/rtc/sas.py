# SPDX-License-Identifier: Apache-2.0
"""Three words that both ends of a call see, and that differ when somebody sits between them.

DTLS keeps strangers out of the media, but it trusts the fingerprints that came by signaling. Who
controls signaling (the server, or the network in front of one without TLS) can hand each side a
certificate of his own and relay the call. The two people can find out: they read the words to
each other, by voice, over the call. This is ZRTP's short authentication string (RFC 6189 section
4.5), made from DTLS certificates instead of a Diffie-Hellman exchange of its own.

**Why three words are enough.** A short hash of the two *fingerprints* would not be: the man in the
middle knows one side's fingerprint before he must show the other side his own, and can make
certificates until the short hashes agree: for 33 bits a matter of minutes on a laptop. ZRTP closes
this with a commitment, and here the fingerprint itself is one. The words are made from the two
whole *certificates*, which hold a fresh 256-bit key each (aiortc makes one for every connection),
while signaling carries only their SHA-256 fingerprints (RFC 8122):

1. No certificate is shown before the DTLS handshake, and no side begins the handshake before it
   has the other one's fingerprint (``guard.py`` makes sure that there is exactly one certificate
   it can belong to; aiortc refuses any other).
2. So whoever sits between A and B is bound to his certificate towards A while all he has of A's is
   a hash that tells nothing about it, and the same towards B. Whichever side he finishes with
   first, the other side's words depend on a certificate that he cannot know yet.
3. His chance is thus 2⁻³³ for each connection, whatever he computes. He learns in the handshake
   whether it worked, before anybody sees words, and may let a connection fail that did not, as a
   bad network would. A call gives up after about ten of those: 10⁻⁹ in all. With only two of the
   words compared it is 2·10⁻⁶.

What this does not do: it says nothing to people who do not compare, it does not stop a server from
refusing or delaying calls, and a voice can be imitated.
"""

from __future__ import annotations

import hashlib
from functools import cache

WORDS = 3
_BITS = 11  # of 2048 words
_LABEL = b"talkcodec short authentication string 1\0"


def short_authentication_string(one: bytes, other: bytes) -> str:
    """Return three words made from both ends' certificates (DER), in either order.

    Words come from the BIP-39 list: 2048 common ones that differ in their first four letters.

    Raises:
        MissingDependency: the package with the words is not installed.
    """
    first, second = sorted((one, other))
    # Lengths first, so that no other pair of certificates makes the same bytes.
    content = b"".join(len(part).to_bytes(4, "big") + part for part in (first, second))
    number = int.from_bytes(hashlib.sha256(_LABEL + content).digest(), "big")
    words = word_list()
    picked = [number >> (_BITS * place) & ((1 << _BITS) - 1) for place in range(WORDS)]
    return " ".join(words[index] for index in picked)


@cache
def word_list() -> tuple[str, ...]:
    """Return the 2048 words of BIP-39's English list, in alphabetical order."""
    from talkcodec.errors import MissingDependency

    try:
        from mnemonic import Mnemonic
    except ModuleNotFoundError:
        raise MissingDependency(
            "expected the packages of talkcodec[call], found no mnemonic"
        ) from None
    return tuple(Mnemonic("english").wordlist)
