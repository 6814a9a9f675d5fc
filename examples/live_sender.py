# SPDX-License-Identifier: Apache-2.0
"""Send a video file to ``live_receiver.py``: python examples/live_sender.py FILE [HOST] [PORT]"""

import asyncio
import json
import sys

from sender import Capture, Sender
from talkcodec.clock import SystemClock
from talkcodec.encoder import EncoderConfig
from talkcodec.media.reader import VideoReader


async def main(path: str, host: str = "127.0.0.1", port: str = "8955") -> None:
    """Call the receiver at ``host``, which was started before, and send all of ``path``."""
    with VideoReader(path) as video:
        sender = Sender(EncoderConfig(tick_rate=video.info.tick_rate))
        # One JSON line each way is the signaling; all else goes through the peer connection.
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(json.dumps(await sender.offer()).encode() + b"\n")
        await sender.accept(json.loads(await reader.readline()))
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        done = lambda _: loop.call_soon_threadsafe(ended.set)  # noqa: E731
        Capture(video, sender.put, done, SystemClock()).start()
        await ended.wait()
        await sender.close()
        writer.close()
        print(sender.report())


asyncio.run(main(*sys.argv[1:]))
