# SPDX-License-Identifier: Apache-2.0
"""Receive one call from ``live_sender.py``: python examples/live_receiver.py OUT.mp4 [PORT]"""

import asyncio
import json
import sys
from fractions import Fraction

from receiver import Receiver
from talkcodec.media.sinks import open_sink


async def main(path: str, port: str = "8955") -> None:
    """Wait for a sender on ``port`` of this machine, and write what it sends to ``path``."""
    ended = asyncio.Event()

    async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with open_sink(f"file:{path}", Fraction(25)) as sink:  # or window, camera, one of yours
            receiver = Receiver(sink.show)
            answer = await receiver.answer(json.loads(await reader.readline()))
            writer.write(json.dumps(answer).encode() + b"\n")
            await receiver.ended()
            await receiver.close()
        writer.close()
        print(receiver.report())
        ended.set()

    async with await asyncio.start_server(call, "127.0.0.1", int(port), limit=1 << 16) as server:
        print("ready at port", server.sockets[0].getsockname()[1], flush=True)
        await ended.wait()


asyncio.run(main(*sys.argv[1:]))
