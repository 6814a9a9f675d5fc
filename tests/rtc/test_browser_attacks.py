# SPDX-License-Identifier: Apache-2.0
"""What a page, or whatever passes for one, can make the program beside it keep."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtp import RtpPacket

from talkcodec.rtc.browser import BrowserPeer
from talkcodec.rtc.decoding import RATES, WAITING, DecoderQueue, private
from talkcodec.rtc.sources import MAX_SOURCES
from tests.rtc.stuck import Stuck
from tests.rtc.test_rtp_attacks import BEGIN, Never, flat_picture
from tests.rtc.waiting import until


class Page:
    """Connects as a page does, and sends what packets it likes."""

    def __init__(self) -> None:
        config = RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.connection = RTCPeerConnection(config)
        self.sound = self.connection.addTransceiver("audio")
        self.video = self.connection.addTransceiver("video")
        self.victim = BrowserPeer()

    async def connect(self) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await self.victim.answer(self.connection.localDescription.sdp)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        ours = self.victim._connection
        await until(lambda: ours.connectionState == "connected")
        await until(lambda: all(part(self, kind, "started") for kind in ("audio", "video")))

    async def send(self, of: RTCRtpTransceiver, number: int, data: bytes, source: int = 1) -> bool:
        codec = next(each for each in of._codecs if each.mimeType.split("/")[1] != "rtx")
        assert codec.payloadType is not None
        packet = RtpPacket(
            payload_type=codec.payloadType,
            marker=1,
            sequence_number=number % 65536,
            timestamp=3600 * number,
            ssrc=source,
            payload=data,
        )
        try:
            await of.sender.transport._send_rtp(packet.serialize())
        except ConnectionError:
            return False
        await asyncio.sleep(0)
        return True

    async def close(self) -> None:
        await self.connection.close()
        await self.victim.close()


def part(page: Page, kind: str, name: str) -> Any:
    """Return what the victim's receiver of ``kind`` calls ``__name``."""
    each = next(t for t in page.victim._connection.getTransceivers() if t.kind == kind)
    return getattr(each.receiver, private(name))


async def test_pictures_and_sound_that_nobody_decodes_are_dropped(stuck: Stuck) -> None:
    page = Page()
    await page.connect()
    data = BEGIN + flat_picture(64)
    for number in range(6 * WAITING):
        await page.send(page.video, number, data)
        await page.send(page.sound, number, b"\xf8\xff\xfe", source=2)
    await until(stuck.entered.is_set)
    sound: DecoderQueue = part(page, "audio", "decoder_queue")
    video: DecoderQueue = part(page, "video", "decoder_queue")
    await until(lambda: video.dropped > 0 and sound.dropped > 0)
    assert len(video) <= WAITING
    assert len(sound) <= WAITING
    assert RATES["video"].burst < 6 * WAITING
    # The event loop does not wait for the decoders, which never come back, and goes on meanwhile.
    begin = asyncio.get_running_loop().time()
    await page.victim.close()
    assert asyncio.get_running_loop().time() - begin < 12
    stuck.let_go.set()
    await page.close()


async def test_what_is_decoded_and_not_taken_gives_way() -> None:
    page = Page()
    await page.connect()
    frames = page.victim.frames
    assert frames is not None
    frames._task.cancel()  # who would take everything off aiortc's hands
    data = BEGIN + flat_picture(64)
    for number in range(4 * WAITING):
        await page.send(page.video, number, data)
        await asyncio.sleep(0.002)
    track: Any = frames._track
    await until(lambda: track._queue.qsize() == WAITING)
    assert track._queue.maxsize == WAITING
    await page.close()


async def test_a_page_that_is_ever_new_sources_is_cut_off() -> None:
    page = Page()
    await page.connect()
    for number in range(400):
        if not await page.send(page.sound, number, b"\xf8\xff\xfe", source=1000 + number):
            break
    await until(lambda: page.victim.refused is not None)
    assert len(part(page, "audio", "remote_streams")) <= MAX_SOURCES
    async with asyncio.timeout(8.0):
        await page.victim.close()
    assert page.victim._connection.connectionState == "closed"
    await page.close()


async def test_a_connection_whose_parts_do_not_end_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("talkcodec.rtc.ending.PATIENCE", 0.1)
    page = Page()
    await page.connect()
    receiver = page.victim._connection.getTransceivers()[0].receiver
    setattr(receiver, private("rtcp_exited"), Never())
    async with asyncio.timeout(15.0):
        await asyncio.gather(page.victim.close(), page.victim.close())
    assert receiver.transport.transport.state == "closed"
    await page.connection.close()
    await until(lambda: not [t for t in threading.enumerate() if t.name.endswith("-decoder")])
