# SPDX-License-Identifier: Apache-2.0
"""An aiortc program whose pictures and sound come through talkcodec: swap_track.py FILE SECONDS

The program has tracks of a camera and a microphone or, here, of a player. In place of handing them
to its peer connection, it gives them to a talkcodec sender; what a talkcodec receiver at the other
end draws and plays are tracks again. Both ends are in this process.
"""

import asyncio
import sys

from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamError

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.clock import SystemClock
from talkcodec.rtc.bridge import ReconstructedSound, ReconstructedTrack, TrackFrames, TrackSound
from talkcodec.rtc.call import Call


async def use(track: MediaStreamTrack) -> None:
    """Do what the program does with a track, as ``RTCPeerConnection.addTrack``; here, count."""
    count = 0
    while True:
        try:
            await track.recv()
        except MediaStreamError:
            break
        count += 1
    print(count, "frames of", track.kind)


async def main(path: str, seconds: str) -> None:
    """Send ``path`` for ``seconds``, and use what comes out at the other end."""
    picture, sound = ReconstructedTrack(), ReconstructedSound()
    users = asyncio.gather(use(picture), use(sound))
    sender, far = Sender(), Call(receiving=Receiver(picture.show, play=sound.play))
    await sender.accept(await far.answer(await sender.offer()))  # by any signaling

    player, clock = MediaPlayer(path), SystemClock()
    assert player.video, "expected pictures in the file"
    assert player.audio, "expected sound in the file"
    with TrackFrames(player.video) as frames, TrackSound(player.audio) as heard:
        Capture(frames, sender.put, print, clock).start()
        say = lambda block: sender.put_sound(block, heard.latency)  # noqa: E731
        Capture(heard, say, print, clock).start()
        await asyncio.sleep(float(seconds))
    await sender.close()
    await far.close()
    picture.stop()
    sound.stop()
    await users


asyncio.run(main(*sys.argv[1:]))
