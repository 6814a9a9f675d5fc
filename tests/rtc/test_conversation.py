# SPDX-License-Identifier: Apache-2.0
"""A call that loses its connection, and what people are told where signaling can't help."""

from __future__ import annotations

import asyncio

from receiver import Receiver
from sender import Sender
from talkcodec.rtc.conversation import ANEW, Conversation
from talkcodec.rtc.signaling.protocol import Ready
from tests.rtc.nobody import Nobody
from tests.rtc.signaling.joined import wires


async def pasted() -> tuple[Conversation, Conversation, list[str]]:
    """Return two ends that met by lines that were carried once, and what the first tells."""
    lines, told = wires(), list[str]()
    for line in lines:
        line.lasts = False
    near = Conversation(Sender(tracker=Nobody()), None, lines[0], tell=told.append)
    far = Conversation(None, Receiver(lambda _: None), lines[1])
    lines[0].inbox.put(Ready())
    await asyncio.gather(near.connect(), far.connect())
    return near, far, told


async def test_who_met_by_pasted_lines_is_told_what_to_do_when_the_connection_is_gone() -> None:
    near, far, told = await pasted()
    assert ANEW not in told
    await near.call._driver.peer.close()
    async with asyncio.timeout(60):
        await near.ended()
    assert told.count(ANEW) == 1
    assert "\n" not in ANEW
    await asyncio.gather(near.close(), far.close())


async def test_a_farewell_is_no_lost_connection() -> None:
    near, far, told = await pasted()
    await far.close()
    async with asyncio.timeout(60):
        await near.ended()
    assert ANEW not in told
    await near.close()
