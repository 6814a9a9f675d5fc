# SPDX-License-Identifier: Apache-2.0
"""Two ends of a call inside one process, for commands that measure calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from talkcodec.clock import Clock
from talkcodec.rtc.call import Call
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.relay import UdpRelay


@asynccontextmanager
async def connected(
    caller: Call, callee: Call, link: LinkConfig, clock: Clock
) -> AsyncIterator[UdpRelay]:
    """Connect both over a relay, impaired once the connection stands; close all at the end."""
    relay = await UdpRelay.open(clock=clock)
    try:
        await introduce(relay, caller, callee)
        relay.impair(link)
        yield relay
        relay.impair(LinkConfig())
    finally:
        await asyncio.gather(caller.close(), callee.close())
        relay.close()


async def introduce(relay: UdpRelay, caller: Call, callee: Call) -> None:
    """Let both exchange descriptions, and wait until they are connected."""
    answer = await callee.answer(relay.offer(await caller.offer()))
    await caller.accept(relay.answer(answer))
    await callee.connected()
