# SPDX-License-Identifier: Apache-2.0
"""A door in front of an HTTP server: how many connections there may be, in all and an address.

It counts TCP connections before a byte of them is read, because what costs a server memory is the
connection and not the request.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Connections at once, in all and from one address (a /64 of IPv6)."""

    connections: int = 2000
    per_address: int = 20


def origin(host: object) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that an IPv6 user owns."""
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Gate:
    """Hands out protocols that refuse a connection too many by closing it."""

    def __init__(self, limits: GateLimits, make: Callable[[], asyncio.Protocol]) -> None:
        self.refused = 0
        self._limits = limits
        self._make = make
        self._open: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection; for ``loop.create_server``."""
        return _Guarded(self)

    @property
    def connections(self) -> int:
        """Connections open now."""
        return self._open.total()

    def enter(self, address: str) -> asyncio.Protocol | None:
        """Count a connection in; None when there is no room for it."""
        full = self.connections >= self._limits.connections
        if full or self._open[address] >= self._limits.per_address:
            self.refused += 1
            return None
        self._open[address] += 1
        return self._make()

    def leave(self, address: str) -> None:
        """Count a connection out."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


class _Guarded(asyncio.Protocol):
    """Passes everything on to the protocol behind it, once it was let in."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._inner: asyncio.Protocol | None = None
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._address = origin(peer[0] if peer else None)
        self._inner = self._gate.enter(self._address)
        if self._inner is None:
            transport.close()
        else:
            self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._inner is not None:
            self._gate.leave(self._address)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()
