# SPDX-License-Identifier: Apache-2.0
"""Whole calls over real connections: both ways, with sound, in both modes, from one connection to
the next, and nothing left behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.bitstream.control import Bye
from talkcodec.cli.pair import introduce
from talkcodec.clock import SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.errors import TalkcodecError
from talkcodec.media.sinks import ShownFrame
from talkcodec.media.sound import SoundBlock, tone
from talkcodec.media.sources import builtin_source
from talkcodec.rtc.call import Call
from talkcodec.rtc.relay import UdpRelay
from talkcodec.types import U8, Frame, Mode
from tests.rtc.nobody import Nobody
from tests.rtc.waiting import until

CLOCK = SystemClock()

#: Ticks by which pictures made up for late ones may be ahead of those.
_GUESSED = 12


@pytest.fixture(scope="module")
def pictures() -> list[U8]:
    return [frame.picture for frame in builtin_source(2)]


class End:
    """One end of a call, which remembers what it was shown and played."""

    def __init__(self, pictures: list[U8]) -> None:
        self.shown: list[ShownFrame] = []
        self.played: list[SoundBlock] = []
        self.modes: list[Mode] = []
        self.lost = 0
        self.sender = Sender(EncoderConfig(startup=0.1))
        self.receiver = Receiver(
            self.shown.append, play=self.played.append, on_mode=self.modes.append
        )
        self.call = Call(self.sender, self.receiver, patience=30, on_lost=self._lose)
        self._captures = (
            Capture(_rocking(pictures), self.sender.put, _ignore, CLOCK),
            Capture(tone(60), self.sender.put_sound, _ignore, CLOCK),
        )

    def start(self) -> None:
        for capture in self._captures:
            capture.start()

    def stop(self) -> None:
        for capture in self._captures:
            capture.close()

    def _lose(self) -> None:
        self.lost += 1


def _rocking(pictures: list[U8]) -> Iterator[Frame]:
    for tick in range(1500):
        place = tick % (2 * len(pictures) - 2)
        picture = pictures[min(place, 2 * len(pictures) - 2 - place)]
        yield Frame(picture, tick, Fraction(1, 25))


def _ignore(_failure: Exception | None) -> None:
    """What ends a source at the end of a test is the end of the test."""


@asynccontextmanager
async def calling(pictures: list[U8]) -> AsyncIterator[tuple[UdpRelay, End, End]]:
    relay = await UdpRelay.open()
    ends = End(pictures), End(pictures)
    try:
        await introduce(relay, ends[0].call, ends[1].call)
        for end in ends:
            end.start()
        yield relay, *ends
    finally:
        for end in ends:
            await asyncio.to_thread(end.stop)
        await asyncio.gather(*(end.call.close() for end in ends))
        relay.close()


def has_had(end: End, shown: int, played: int) -> bool:
    """Return whether ``end`` has shown and played more than so many."""
    return len(end.shown) > shown and len(end.played) > played


async def test_both_ends_see_and_hear_each_other_in_both_modes(pictures: list[U8]) -> None:
    async with calling(pictures) as (_, near, far):
        for end in (near, far):
            await until(partial(has_had, end, 20, 20))
        near.sender.set_mode("video")
        await until(lambda: far.receiver.mode == "video")
        count = len(far.shown)
        await until(lambda: len(far.shown) > count + 10)
        near.sender.set_mode("motion")
        await until(lambda: far.receiver.mode == "motion")
        count = len(far.shown)
        await until(lambda: len(far.shown) > count + 10)
    assert far.modes == ["video", "motion"]
    assert near.modes == []
    # Time does not go back; a picture made up for one that was late may give way to that.
    assert all(one.tick < two.tick + _GUESSED for one, two in pairwise(far.shown))
    assert {frame.mode for frame in far.shown} == {"motion", "video"}
    assert {frame.picture.shape for frame in far.shown} == {(256, 256, 3)}
    for before, after in pairwise(far.shown):
        if before.mode != after.mode:
            # The same face in the same place: not a grey, green or foreign picture.
            difference = np.abs(before.picture.astype(int) - after.picture)
            assert difference.mean() < 25
    for end in (near, far):
        loudest = max(int(np.abs(block.samples).max()) for block in end.played)
        assert loudest > 5000
        assert end.call.connections == 1
        assert end.sender.report().payload_bytes > 0


async def test_resting_lines_send_nothing_and_muted_sound_neither(pictures: list[U8]) -> None:
    async with calling(pictures) as (relay, *ends):
        for end in ends:
            end.sender.mute(on=True)
        for end in ends:
            await until(partial(has_had, end, 10, -1))
        media = [_media(relay, way) for way in ("_forward", "_back")]
        # Two sender reports of each of two lines would come meanwhile, at least.
        await asyncio.sleep(3.2)
        assert [len(passed) for passed in media] == [0, 0]
        ends[0].sender.mute(on=False)
        await until(lambda: len(media[0]) > 20)
        # He who hears reports on it (RFC 3550 section 6.4.2), once a second or so, and no more.
        assert all(datagram[1] == 201 for datagram in media[1])


def _media(relay: UdpRelay, way: str) -> list[bytes]:
    """Return the list of media's datagrams that pass from now on: RTP and RTCP (RFC 7983 §7)."""
    link = getattr(relay, way).link
    send, passed = link.send, []

    def noted(datagram: bytes, now: float) -> None:
        if 128 <= datagram[0] < 192:
            passed.append(datagram)
        send(datagram, now)

    link.send = noted
    return passed


async def test_another_connection_takes_over_without_a_new_start(pictures: list[U8]) -> None:
    async with calling(pictures) as (relay, near, far):
        for end in (near, far):
            await until(partial(has_had, end, 10, 10))
        near.sender.set_mode("video")
        await until(lambda: far.receiver.mode == "video")

        async def exchange(offer: str) -> str:
            return relay.answer(await far.call.answer(relay.offer(offer)))

        await near.call.reconnect(exchange)
        await until(lambda: near.call.connections == far.call.connections == 2)
        references = near.sender.report().references
        counts = [(len(end.shown), len(end.played)) for end in (near, far)]
        for end, (shown, played) in zip((near, far), counts, strict=True):
            await until(partial(has_had, end, shown + 15, played + 60))
            loud = [np.abs(block.samples).max() > 5000 for block in end.played[played + 30 :]]
            assert any(loud)
        assert far.receiver.mode == "video"
        near.sender.set_mode("motion")
        await until(lambda: far.receiver.mode == "motion")
        assert near.lost == far.lost == 0
    # A new start would count from nought, and a picture placed wrongly goes back by seconds.
    assert all(one.tick < two.tick + _GUESSED for one, two in pairwise(far.shown))
    assert near.sender.report().references >= references
    assert far.receiver.report().invalid == 0


async def test_a_connection_that_breaks_is_told_of_and_replaced(pictures: list[U8]) -> None:
    async with calling(pictures) as (relay, near, far):
        await until(lambda: len(far.shown) > 5 and len(near.shown) > 5)
        await near.call._driver.peer.close()  # as an ICE failure would, thirty seconds later
        await until(lambda: near.lost == far.lost == 1)
        assert not near.call.is_connected
        await introduce(relay, near.call, far.call)
        count = len(far.shown)
        await until(lambda: len(far.shown) > count + 10)


async def test_a_call_without_patience_is_over_with_its_connection() -> None:
    sender, far = Sender(tracker=Nobody()), Call(receiving=Receiver(lambda _: None))
    await sender.accept(await far.answer(await sender.offer()))
    await far.close()
    await asyncio.wait_for(sender.ended(), 60)
    with pytest.raises(TalkcodecError, match="expected a call, found it ended"):
        sender.put(Frame(np.zeros((64, 64, 3), np.uint8), 0, Fraction(1, 25)))
    with pytest.raises(TalkcodecError, match="expected a call that goes on"):
        await far.answer("v=0")
    with pytest.raises(TalkcodecError, match="found it ended"):
        await sender.close()


async def test_an_attempt_that_nobody_answers_does_not_keep_a_lost_call_alive() -> None:
    near = Call(Sender(tracker=Nobody()), patience=0.5)
    far = Call(receiving=Receiver(lambda _: None), patience=60)
    await near.accept(await far.answer(await near.offer()))
    assert near.reason == ""
    await near.offer()  # as signaling does that has heard nothing for long
    await near._driver.peer.close()
    await asyncio.wait_for(near.ended(), 60)
    assert near.reason == "the connection is gone"
    await asyncio.gather(near.close(), far.close())


async def test_a_call_knows_why_it_is_over_and_says_it_in_one_line() -> None:
    near, far = Call(Sender(tracker=Nobody())), Call(receiving=Receiver(lambda _: None))
    await near.accept(await far.answer(await near.offer()))
    far.tell(Bye("lunch\n\x1b[2J"))
    await asyncio.wait_for(near.ended(), 60)
    assert near.reason == "lunch??[2J"
    await asyncio.gather(near.close(), far.close())
    assert far.reason == ""


async def test_a_call_of_nobody_is_refused() -> None:
    with pytest.raises(TalkcodecError, match="expected a half that sends or receives"):
        Call()


def footprint() -> tuple[set[str], int]:
    """Return the threads (the loop's own executor aside) and the number of open sockets."""
    threads = {t.name for t in threading.enumerate() if not t.name.startswith("asyncio_")}
    paths = Path("/proc/self/fd").iterdir()
    links = [str(path.readlink()) for path in paths if path.is_symlink()]
    return threads, sum(link.startswith("socket:") for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts what /proc tells")
async def test_eight_calls_leave_no_thread_task_or_socket_behind() -> None:
    before = footprint()
    for _ in range(8):
        near = Call(Sender(tracker=Nobody()), Receiver(lambda _: None, play=lambda _: None))
        far = Call(Sender(tracker=Nobody()), Receiver(lambda _: None, play=lambda _: None))
        await near.accept(await far.answer(await near.offer()))
        await far.connected()
        await asyncio.gather(near.close(), far.close())
    await until(lambda: len(asyncio.all_tasks()) == 1)
    threads, sockets = footprint()
    assert threads <= before[0]
    assert sockets <= before[1]
