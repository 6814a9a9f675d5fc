# SPDX-License-Identifier: Apache-2.0
"""A whole call, with encoder and decoder, whose path goes dead under it."""

from __future__ import annotations

import asyncio
from itertools import cycle, islice, pairwise

from receiver import Receiver
from sender import Sender
from talkcodec.clock import SystemClock
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sources import builtin_source
from talkcodec.rtc.call import Call
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.liveness import Liveness
from talkcodec.rtc.relay import UdpRelay
from talkcodec.rtc.signaling.meeting import Meeting
from talkcodec.rtc.signaling.protocol import Ready
from talkcodec.types import Frame
from tests.rtc.signaling.joined import QUICK, by_relays, wires


async def test_a_call_goes_on_where_it_was_when_its_path_dies() -> None:
    clock, shown = SystemClock(), list[ShownFrame]()
    sender, receiver = Sender(clock=clock), Receiver(shown.append, clock=clock)
    calls = [
        Call(sender, patience=20.0, clock=clock),
        Call(receiving=receiver, patience=20.0, clock=clock),
    ]
    relays = [await UdpRelay.open(), await UdpRelay.open()]
    lines = wires()
    for wire in lines:
        wire.change = by_relays(relays)
    meetings = [Meeting(wire, call, config=QUICK) for wire, call in zip(lines, calls, strict=True)]
    lines[0].inbox.put(Ready())
    words = await asyncio.gather(*(meeting.connect() for meeting in meetings))
    tasks = [asyncio.create_task(meeting.keep()) for meeting in meetings]
    tasks += [
        asyncio.create_task(Liveness(call, meeting.lose, clock, silence=1.5).run())
        for call, meeting in zip(calls, meetings, strict=True)
    ]
    pictures = cycle(list(builtin_source(0.4)))
    broken = None
    for number, frame in enumerate(islice(pictures, 600)):
        sender.put(Frame(frame.picture, number, frame.time_base))
        await asyncio.sleep(0.04)
        if broken is None and len(shown) > 10:
            broken = number
            relays[0].impair(LinkConfig(loss=1.0))
        if min(call.connections for call in calls) == 2 and shown[-1].tick > number - 8:
            break
    assert broken is not None
    assert [call.connections for call in calls] == [2, 2]
    # The same stream goes on: its ticks grow, and its references are those from before.
    ticks = [frame.tick for frame in shown]
    # (Pictures made up for late ones may run a few ahead of them.)
    assert all(later > earlier - 6 for earlier, later in pairwise(ticks)), ticks
    assert ticks[-1] > broken + 15
    assert receiver.report().references <= 3
    assert [meeting.words for meeting in meetings] == words
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(call.close() for call in calls))
    for meeting in meetings:
        await meeting.close()
    for relay in relays:
        relay.close()
