# SPDX-License-Identifier: Apache-2.0
"""Tracks of an aiortc program, sent and received through talkcodec: swap_track.py FILE SECONDS"""

import asyncio
import sys
from contextlib import suppress

from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamTrack

from receiver import Receiver
from sender import LIVE, Capture, Sender
from talkcodec.clock import SystemClock
from talkcodec.rtc.bridge import ReconstructedSound, ReconstructedTrack, TrackFrames, TrackSound


async def use(track: MediaStreamTrack) -> None:
    """Do what the program does with a track, as ``RTCPeerConnection.addTrack``; here, tell."""
    while True:
        print(track.kind, (await track.recv()).pts)


async def main(path: str, seconds: str) -> None:
    """Send ``path`` (sound and pictures), and use what comes out at the other end: tracks again."""
    picture, sound = ReconstructedTrack(), ReconstructedSound()
    sender, far = Sender(), Receiver(picture.show, play=sound.play)
    await sender.accept(await far.answer(await sender.offer()))  # by any signaling
    player, clock = MediaPlayer(path), SystemClock()  # or the tracks of camera and microphone
    assert player.video, "expected pictures in the file"
    assert player.audio, "expected sound in the file"
    with TrackFrames(player.video) as frames, TrackSound(player.audio) as mic:
        Capture(frames, sender.put, print, clock, begin=LIVE).start()
        Capture(mic, lambda b: sender.put_sound(b, mic.latency), print, clock, begin=LIVE).start()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(use(picture), use(sound)), float(seconds))
    await asyncio.gather(sender.close(), far.close())


asyncio.run(main(*sys.argv[1:]))
