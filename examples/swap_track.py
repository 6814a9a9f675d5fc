# SPDX-License-Identifier: Apache-2.0
"""An aiortc program whose pictures and sound come through talkcodec: swap_track.py FILE SECONDS

The program has a track of a camera or, here, a player. In place of handing that to its peer
connection, it gives it to a talkcodec sender; what a talkcodec receiver at the other end draws is
a track again. Both ends are in this process.
"""

import asyncio
import sys

from aiortc.contrib.media import MediaPlayer, MediaRecorder

from receiver import Receiver
from sender import Capture, Sender
from talkcodec.clock import SystemClock
from talkcodec.rtc.bridge import ReconstructedSound, ReconstructedTrack, TrackFrames, TrackSound
from talkcodec.rtc.call import Call


async def main(path: str, seconds: str) -> None:
    """Play ``path``; record what the other end shows and plays to ``swapped.mp4`` and ``.wav``."""
    clock = SystemClock()
    picture, sound = ReconstructedTrack(), ReconstructedSound()
    sender, far = Sender(), Call(receiving=Receiver(picture.show, play=sound.play))
    answer = await far.answer(await sender.offer())  # by any signaling
    await sender.accept(answer)

    recorders = MediaRecorder("swapped.mp4"), MediaRecorder("swapped.wav")
    for recorder, track in zip(recorders, (picture, sound), strict=True):
        recorder.addTrack(track)  # or a peer connection, by the same method
        await recorder.start()

    player = MediaPlayer(path)
    assert player.video, "expected pictures in the file"
    assert player.audio, "expected sound in the file"
    with TrackFrames(player.video) as frames, TrackSound(player.audio) as heard:
        Capture(frames, sender.put, print, clock).start()
        say = lambda block: sender.put_sound(block, heard.latency)  # noqa: E731
        Capture(heard, say, print, clock).start()
        await asyncio.sleep(float(seconds))
    await sender.close()
    await far.close()
    for recorder in recorders:
        await recorder.stop()


asyncio.run(main(*sys.argv[1:]))
