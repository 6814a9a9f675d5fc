# SPDX-License-Identifier: Apache-2.0
"""What a session description must look like before aiortc parses it.

aiortc takes any number of sections and candidates, and code paths of ours never meet most of what
SDP can say. Here a description is bounded in size, names only the media a call has, every
section names one and the same certificate, and candidates are addresses: nobody's description
makes us ask a name server.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterator

from talkcodec.errors import SignalingError

#: Characters of a description. Ours have 1000 with data channels alone, 4000 with audio and video;
#: a browser's have up to 8000.
MAX_CHARACTERS = 20_000

MAX_LINES = 500
MAX_LINE = 1000

#: Addresses that a description can make us probe. Bundled sections repeat those of the first.
MAX_CANDIDATES = 40

#: How often a line of a kind may come, over all sections.
_MOST = {"rtpmap": 80, "fmtp": 80, "rtcp-fb": 320, "ssrc": 32, "ssrc-group": 8, "extmap": 64}

#: Sections by kind: data channels always, one track of each kind at most.
_SECTIONS = {
    "application": r"UDP/DTLS/SCTP webrtc-datachannel",
    "audio": r"UDP/TLS/RTP/SAVPF( \d{1,3}){1,64}",
    "video": r"UDP/TLS/RTP/SAVPF( \d{1,3}){1,64}",
}
_SECTION = re.compile(r"m=(application|audio|video) \d{1,5} (\S.*)")

#: What a section, or all of them together, must say once (RFC 8839, RFC 8842, RFC 5888).
_TRANSPORT = {
    "ice-ufrag": r"[A-Za-z0-9+/]{4,256}",
    "ice-pwd": r"[A-Za-z0-9+/]{22,256}",
    "setup": r"active|passive|actpass",
    "mid": r"[A-Za-z0-9_.+-]{1,32}",
}

#: Hash functions that aiortc knows, and their sizes in bytes.
_HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_FINGERPRINT = re.compile(r"(\S+) ((?:[0-9A-Fa-f]{2}:)*[0-9A-Fa-f]{2})")

_CANDIDATE = re.compile(
    r"(\S{1,64}) ([12]) (udp|UDP) (\d{1,10}) (\S{1,45}) (\d{1,5}) typ (host|srflx|prflx|relay)"
    r"( \S.*)?"
)


def screen(sdp: str, channels: int = 1) -> str:
    """Return ``sdp`` without the candidates that a call cannot use.

    Those are names instead of addresses (browsers hide local addresses behind ``.local``) and
    everything that is not UDP. ``channels``: sections of data channels that there must be.

    Raises:
        SignalingError: it is no description of a call.
    """
    if not isinstance(sdp, str) or len(sdp) > MAX_CHARACTERS:
        raise _error(f"at most {MAX_CHARACTERS} characters", f"{len(sdp)}")
    if not sdp.isascii() or not sdp.startswith("v=0"):
        raise _error("ASCII that begins with v=0", repr(sdp[:20]))
    lines = [line for line in re.split(r"\r?\n", sdp) if line]
    if len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
        raise _error(f"{MAX_LINES} lines of {MAX_LINE} characters at most", f"{len(lines)} lines")
    strange = next((line for line in lines if not re.fullmatch(r"[a-z]=[ -~]+", line)), None)
    if strange is not None:
        raise _error("lines like a=value", repr(strange[:40]))
    _check_counts(lines)
    _check_sections(lines, channels)
    _check_transport(lines)
    return "\r\n".join(line for line in lines if _usable(line)) + "\r\n"


def _check_counts(lines: list[str]) -> None:
    for name, most in _MOST.items():
        found = sum(line.startswith(f"a={name}:") for line in lines)
        if found > most:
            raise _error(f"at most {most} lines of {name}", f"{found}")
    candidates = {line for line in lines if line.startswith("a=candidate:")}
    if len(candidates) > MAX_CANDIDATES:
        raise _error(f"at most {MAX_CANDIDATES} candidates", f"{len(candidates)}")


def _check_sections(lines: list[str], channels: int) -> None:
    kinds = []
    for line in lines:
        if not line.startswith("m="):
            continue
        match = _SECTION.fullmatch(line)
        if match is None or not re.fullmatch(_SECTIONS[match[1]], match[2]):
            raise _error("media of a call", repr(line[:60]))
        kinds.append(match[1])
    if not kinds or kinds.count("application") != channels or len(kinds) != len(set(kinds)):
        raise _error(
            "data channels and at most one track of each kind",
            ", ".join(kinds) or "none",
        )


def _check_transport(lines: list[str]) -> None:
    """All sections share one transport (RFC 9143), to one certificate.

    aiortc leaves connections half made, and unable to close, where a section lacks what it needs
    for a transport of its own. It checks the peer's certificate against all of the fingerprints
    of one section.
    """
    head, *sections = _split(lines)
    common = _attributes(head)
    mids = []
    certificates = [dict(_fingerprints(head))]
    for section in sections:
        own = _attributes(section)
        for name, pattern in _TRANSPORT.items():
            found = own.get(name, []) or common.get(name, [])
            if len(found) != 1 or not re.fullmatch(pattern, found[0]):
                raise _error(f"one {name} in each section", f"{len(found)} of them, or another")
        mids += own.get("mid", [])
        certificates.append(dict(_fingerprints(section)))
    groups = [value.split() for value in common.get("group", [])]
    if len(set(mids)) != len(sections) or sorted(map(sorted, groups)) != [
        sorted(["BUNDLE", *mids])
    ]:
        raise _error("all sections in one bundle", f"{groups!r:.60}")
    named = [found for found in certificates if found]
    if not named or any(found != named[0] for found in named):
        raise _error("the fingerprint of one certificate", f"{len(named)} sections that disagree")


def _attributes(section: list[str]) -> dict[str, list[str]]:
    """Return the values of a section's attributes by name."""
    found: dict[str, list[str]] = {}
    for line in section:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found.setdefault(name, []).append(value)
    return found


def _split(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines before the first section, then those of each section."""
    starts = [place for place, line in enumerate(lines) if line.startswith("m=")]
    bounds = [0, *starts, len(lines)]
    for begin, end in itertools.pairwise(bounds):
        yield lines[begin:end]


def _fingerprints(section: list[str]) -> Iterator[tuple[str, str]]:
    found = [line[14:] for line in section if line.startswith("a=fingerprint:")]
    if len(found) > len(_HASHES):
        raise _error(f"at most {len(_HASHES)} fingerprints", f"{len(found)}")
    seen = set()
    for text in found:
        match = _FINGERPRINT.fullmatch(text)
        name = match[1].lower() if match else ""
        # Two fingerprints by one hash cannot both be right: the second may be bait.
        if match is None or (len(match[2]) + 1) // 3 != _HASHES.get(name) or name in seen:
            raise _error(f"a fingerprint by {', '.join(_HASHES)}", repr(text[:40]))
        seen.add(name)
        yield name, match[2].upper()


def _usable(line: str) -> bool:
    if not line.startswith("a=candidate:"):
        return True
    match = _CANDIDATE.fullmatch(line[12:])
    if match is None or not 0 < int(match[6]) <= 65535 or int(match[4]) >= 2**32:
        return False
    try:
        address = ipaddress.ip_address(match[5])
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified) and "%" not in match[5]


def _error(expected: str, found: str) -> SignalingError:
    return SignalingError(f"expected a session description with {expected}, found {found}")
