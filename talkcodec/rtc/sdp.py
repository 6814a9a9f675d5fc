# SPDX-License-Identifier: Apache-2.0
"""The two operations on a session description that the relay needs."""

from __future__ import annotations

from talkcodec.errors import TalkcodecError

#: ``candidate:<foundation> <component> <transport> <priority> <address> <port> typ host``
_PREFIX = "a=candidate:"
_FIELDS = 8


def host_address(sdp: str) -> tuple[str, int]:
    """Return address and port of the first IPv4 host candidate for UDP.

    Raises ``TalkcodecError`` where there is none, as on a machine with no network interface
    besides the loopback one.
    """
    for line in sdp.splitlines():
        if not line.startswith(_PREFIX):
            continue
        fields = line.split()
        if len(fields) < _FIELDS or fields[7] != "host" or fields[2].lower() != "udp":
            continue
        if fields[1] == "1" and fields[4].count(".") == 3 and fields[5].isdigit():
            return fields[4], int(fields[5])
    raise TalkcodecError("expected an IPv4 network interface besides loopback, found none")


def only_candidate(sdp: str, address: str, port: int) -> str:
    """Return ``sdp`` with one host candidate, ``address:port``, in place of all its own.

    Every section that had candidates gets it: bundled sections repeat those of the first, and
    aiortc reads the last.
    """
    candidate = f"{_PREFIX}relay 1 udp 2130706431 {address} {port} typ host"
    lines: list[str] = []
    placed = False  # in this section
    for line in sdp.splitlines():
        if line.startswith("m="):
            placed = False
        if not line.startswith(_PREFIX):
            lines.append(line)
        elif not placed:
            lines.append(candidate)
            placed = True
    if candidate not in lines:
        raise TalkcodecError("expected a session description with candidates, found none")
    return "\r\n".join(lines) + "\r\n"
