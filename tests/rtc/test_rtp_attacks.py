# SPDX-License-Identifier: Apache-2.0
"""A peer that floods the lines beside the data channels, at rest or not."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import aiortc.rtcrtpreceiver
import av
import pytest
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RTCP_RTPFB_NACK, RtcpByePacket, RtcpRrPacket, RtcpRtpfbPacket

from talkcodec.rtc.assembly import LARGEST
from talkcodec.rtc.decoding import RATES, WAITING, DecoderQueue, private
from talkcodec.rtc.ending import end
from talkcodec.rtc.feedback import REPEATS
from talkcodec.rtc.lines import Line
from talkcodec.rtc.peer import Peer
from talkcodec.rtc.sources import MAX_SOURCES
from tests.rtc.attacker import SOUND, VIDEO, Attacker
from tests.rtc.stuck import Stuck
from tests.rtc.waiting import until

TOO_MANY = f"expected at most {MAX_SOURCES} sources of RTP, found another one"

#: A descriptor of VP8's payload (RFC 7741): a picture begins.
BEGIN = b"\x10"


def part(line: Line, name: str) -> Any:
    """Return what ``line``'s receiver calls ``__name``."""
    return getattr(line._transceiver.receiver, private(name))


def started(peer: Peer) -> Callable[[], bool]:
    """Return whether both lines of ``peer`` decode."""
    return lambda: all(part(line, "started") for line in (peer.sound, peer.video))


async def attack() -> Attacker:
    attacker = Attacker(media=True)
    await attacker.connect()
    await until(started(attacker.victim))
    return attacker


def flat_picture(side: int) -> bytes:
    """Return a key picture of one colour: few bytes, and all the pixels that a decoder can get."""
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width = encoder.height = side
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    frame = av.VideoFrame(side, side, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    coded = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    assert len(coded) < 1100
    return coded


async def test_sound_from_ever_new_sources_ends_the_connection() -> None:
    attacker = await attack()
    victim = attacker.victim
    for number in range(600):
        if not await attacker.send(SOUND, number, source=1000 + number, data=b"\xf8\xff\xfe"):
            break
    async with asyncio.timeout(30.0):
        await victim.closed.wait()
        await victim.close()
    assert victim.refused == TOO_MANY
    assert len(part(victim.sound, "remote_streams")) <= MAX_SOURCES
    assert len(part(victim.sound, "active_ssrc")) <= MAX_SOURCES
    await attacker.close()


async def test_reports_from_ever_new_sources_end_the_connection() -> None:
    attacker = await attack()
    for source in range(1, 600):
        if not await attacker.send_raw(bytes(RtcpRrPacket(ssrc=source, reports=[]))):
            break
    async with asyncio.timeout(30.0):
        await attacker.victim.closed.wait()
    assert attacker.victim.refused == TOO_MANY
    await attacker.close()


async def test_a_datagram_of_any_size_ends_nothing() -> None:
    attacker = await attack()
    sctp = attacker.connection.sctp
    assert sctp is not None
    for size in (1, 2, 11, 12, 1500, 1501, 9000):  # in clear, as anybody can send it
        await sctp.transport.transport._send(b"\x80" * size)
    assert await attacker.send(SOUND, 0, data=b"\xf8\xff\xfe")
    await until(lambda: len(part(attacker.victim.sound, "remote_streams")) == 1)
    assert attacker.victim.is_open
    await attacker.close()


class Jumping(StreamStatistics):
    """What is known of a source whose stamps jump to and fro."""

    looks = 0

    @property
    def jitter(self) -> int:
        self.looks += 1
        return 1 << 36  # there is room for 32 bits


async def jumping(monkeypatch: pytest.MonkeyPatch) -> tuple[Attacker, Jumping]:
    """Return an attacker that is such a source, to somebody who reports every 10 ms."""
    soon = SimpleNamespace(random=lambda: -0.49)  # to which aiortc adds half a second
    monkeypatch.setattr(aiortc.rtcrtpreceiver, "random", soon)
    attacker, stream = await attack(), Jumping(48_000)
    stream.base_seq = stream.max_seq = 0
    part(attacker.victim.sound, "remote_streams")[1] = stream
    return attacker, stream


async def test_a_report_that_cannot_be_packed_keeps_nobody_from_closing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attacker, stream = await jumping(monkeypatch)
    await until(lambda: stream.looks > 0)
    async with asyncio.timeout(4.0):
        await attacker.victim.close()
    assert attacker.victim.closed.is_set()
    await attacker.close()


async def test_after_a_report_that_cannot_be_packed_there_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attacker, stream = await jumping(monkeypatch)
    await until(lambda: stream.looks > 5, seconds=5)
    assert stream.looks > 5
    assert attacker.victim.is_open
    assert attacker.victim.refused is None
    await attacker.close()


async def test_pictures_faster_than_anybody_looks_at_them_are_dropped() -> None:
    attacker = await attack()
    video, data = attacker.victim.video, BEGIN + flat_picture(LARGEST)
    for number in range(800):
        await attacker.send(VIDEO, number, data=data)
    stream = part(video, "remote_streams")
    await until(lambda: bool(stream) and stream[1].packets_received > 700)
    queue: DecoderQueue = part(video, "decoder_queue")
    track: Any = video._transceiver.receiver.track
    assert isinstance(queue, DecoderQueue)
    assert len(queue) <= WAITING
    assert track._queue.qsize() <= WAITING
    assert queue.dropped > 700 - RATES["video"].burst - 60 * RATES["video"].per_second
    async with asyncio.timeout(4.0):
        await attacker.victim.close()
    await attacker.close()


@pytest.mark.parametrize("bye", [False, True])
async def test_the_event_loop_does_not_wait_for_a_decoder(stuck: Stuck, *, bye: bool) -> None:
    attacker = await attack()
    data = BEGIN + flat_picture(64)
    for number in range(2 * WAITING):
        await attacker.send(VIDEO, number, data=data)
    await until(stuck.entered.is_set)
    if bye:
        await attacker.send_raw(bytes(RtcpByePacket(sources=[1])))
        await until(lambda: part(attacker.victim.video, "decoder_thread") is None)
        assert attacker.victim.is_open
    closing = asyncio.ensure_future(attacker.victim.close())
    for _ in range(20):
        await asyncio.sleep(0.01)  # the loop goes on
    stuck.let_go.set()
    async with asyncio.timeout(4.0):
        await closing
    assert stuck.in_time
    await attacker.close()
    assert not [each for each in threading.enumerate() if each.name == "video-decoder"]


async def test_a_request_that_names_thousands_of_packets_is_answered_in_part() -> None:
    attacker = await attack()
    victim = attacker.victim
    victim.video.send(on=True)
    for number in range(40):
        victim.video.put(bytes(500), 3600 * number)
        await asyncio.sleep(0)
    sender = victim.video._transceiver.sender
    await until(lambda: len(sender._RTCRtpSender__rtp_history) == 40)  # type: ignore[attr-defined]
    sent = 0
    transport = sender.transport
    send = transport._send_rtp

    async def count(data: bytes) -> None:
        nonlocal sent
        sent += len(data) > 500
        await send(data)

    transport._send_rtp = count  # type: ignore[method-assign]
    numbers = sorted(p.sequence_number for p in sender._RTCRtpSender__rtp_history.values())  # type: ignore[attr-defined]
    head = struct.pack("!BBHLL", 0x80 | RTCP_RTPFB_NACK, 205, 2 + 330, 1, sender._ssrc)
    for _ in range(10):
        body = b"".join(struct.pack("!HH", numbers[n % 40], 0xFFFF) for n in range(330))
        await attacker.send_raw(head + body)
    repeats = victim.video._repeats
    await until(lambda: repeats.refused + repeats.early > 0)
    await asyncio.sleep(0.1)
    assert 0 < sent <= REPEATS.burst + 60 * REPEATS.per_second
    assert sent < 10 * 330
    await attacker.close()


async def test_a_request_to_a_line_at_rest_ends_nothing() -> None:
    attacker = await attack()
    victim = attacker.victim
    victim.video.send(on=True)
    victim.video.put(bytes(100), 0)
    sender = victim.video._transceiver.sender
    history: dict[int, Any] = sender._RTCRtpSender__rtp_history  # type: ignore[attr-defined]
    await until(lambda: bool(history))
    victim.video.send(on=False)
    victim.video._park()
    lost = [packet.sequence_number for packet in history.values()]
    request = RtcpRtpfbPacket(RTCP_RTPFB_NACK, ssrc=1, media_ssrc=sender._ssrc, lost=lost)
    await attacker.send_raw(bytes(request))
    assert await attacker.send(SOUND, 0, data=b"\xf8\xff\xfe")
    await until(lambda: victim.closed.is_set() or bool(part(victim.sound, "remote_streams")))
    assert victim.is_open
    await attacker.close()


class Never:
    """An event that nobody hears of."""

    def set(self) -> None:
        """Tell nobody."""

    async def wait(self) -> None:
        await asyncio.Event().wait()


async def test_a_connection_that_does_not_close_is_ended_by_parts() -> None:
    attacker = await attack()
    peer, connection = attacker.victim, attacker.victim._connection
    sctp, receiver = connection.sctp, peer.sound._transceiver.receiver
    assert sctp is not None
    setattr(receiver, private("rtcp_exited"), Never())
    async with asyncio.timeout(5.0):
        await end(connection, patience=0.1)
    assert sctp.transport.transport.state == "closed"
    await until(lambda: not [t for t in threading.enumerate() if t.name.endswith("-decoder")])
    peer._watch.close()
    await attacker.connection.close()
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_whoever_waits_for_the_end_may_give_up_and_come_back() -> None:
    attacker = await attack()
    first = asyncio.ensure_future(attacker.victim.close())
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(4.0):
        await asyncio.gather(attacker.victim.close(), attacker.victim.close())
    assert attacker.victim.closed.is_set()
    await attacker.close()
