# SPDX-License-Identifier: Apache-2.0
"""What aiortc is told of our lines, and that it is the aiortc that we think."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from talkcodec.rtc.lines import WAITING, Line, PacketTrack


def packet(number: int) -> RtpPacket:
    made = RtpPacket(payload_type=96, sequence_number=number % 65536, timestamp=number * 960)
    # As aiortc's receiver does.
    made._data = b"opus"  # type: ignore[attr-defined]
    return made


async def test_sound_passes_at_once_and_only_what_was_overtaken_is_lost() -> None:
    connection = RTCPeerConnection()
    sound, video = Line(connection, "audio"), Line(connection, "video")
    buffers = [
        getattr(line._transceiver.receiver, "_RTCRtpReceiver__jitter_buffer", None)
        for line in (sound, video)
    ]
    passage, waiting = buffers
    # Where this fails aiortc has changed: see whether its own buffer serves by now.
    assert passage is not None
    assert isinstance(waiting, JitterBuffer)
    assert waiting.capacity == 64
    come = [65534, 65535, 65536, 65539, 65538, 65540]
    passed = [passage.add(packet(number)) for number in come]
    assert [frame.timestamp // 960 for _, frame in passed if frame] == [
        65534,
        65535,
        65536,
        65539,
        65540,
    ]
    assert not any(lost for lost, _ in passed)
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
