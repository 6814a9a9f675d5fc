# SPDX-License-Identifier: Apache-2.0
"""Ends a connection in bounded time, whatever state the other end has brought it to.

aiortc ends the parts of a connection one after the other, and each waits for tasks of its own
without limit: where one of them has failed, nothing that comes after it is ever released.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

log = logging.getLogger(__name__)

#: Seconds for all parts in aiortc's order, which takes some milliseconds; and then for each.
PATIENCE, PART = 5.0, 1.0


async def end(connection: RTCPeerConnection, patience: float = PATIENCE) -> None:
    """Close ``connection``; call once. After ``patience`` s its parts are ended each by itself."""
    try:
        async with asyncio.timeout(patience):
            await connection.close()
    except TimeoutError:
        log.warning("expected a connection to close within %g s, ending its parts", patience)
        await _end_parts(connection)


async def _end_parts(connection: RTCPeerConnection) -> None:
    """Stop threads and tasks first, then what they send by."""
    transceivers = connection.getTransceivers()
    parts: list[Coroutine[Any, Any, None]] = [
        half.stop() for each in transceivers for half in (each.receiver, each.sender)
    ]
    transports = {each.sender.transport for each in transceivers}
    if connection.sctp is not None:
        parts.append(connection.sctp.stop())
        transports.add(connection.sctp.transport)
    await _all(parts)
    await _all([each.stop() for each in transports])
    await _all([each.transport.stop() for each in transports])


async def _all(parts: list[Coroutine[Any, Any, None]]) -> None:
    """Give each of ``parts`` ``PART`` s; what one raises is no reason to leave out another."""
    await asyncio.gather(*(asyncio.wait_for(part, PART) for part in parts), return_exceptions=True)
