# SPDX-License-Identifier: Apache-2.0
"""What aiortc is told of our lines, and that it is the aiortc that we think."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

from talkcodec.rtc.assembly import Asking, Assembly, Passage
from talkcodec.rtc.lines import WAITING, Line, PacketTrack


async def test_aiortc_takes_buffers_of_ours() -> None:
    connection = RTCPeerConnection()
    sound, video = Line(connection, "audio"), Line(connection, "video")

    def found(line: Line, name: str) -> object:
        return getattr(line._transceiver.receiver, f"_RTCRtpReceiver__{name}", None)

    # Where this fails aiortc has changed: see whether its own buffers serve by now.
    assert isinstance(found(sound, "jitter_buffer"), Passage)
    assert isinstance(found(video, "jitter_buffer"), Assembly)
    assert isinstance(found(video, "nack_generator"), Asking)
    await connection.close()


async def test_a_track_of_packets_holds_the_newest() -> None:
    track = PacketTrack("audio")
    for number in range(WAITING + 3):
        track.put(bytes((number,)), number)
    assert track.dropped == 3
    assert len(track) == WAITING
    assert (await track.recv()).pts == 3
    track.clear()
    assert len(track) == 0
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_line_at_rest_takes_nothing() -> None:
    connection = RTCPeerConnection()
    line = Line(connection, "video")
    line.send(on=True)  # before there is a connection: nothing to wake
    line.put(b"vp8", 0)
    await asyncio.sleep(0)
    assert (line.refused, line.dropped, line.waiting) == (1, 1, 0)
    line.close()
    await connection.close()
