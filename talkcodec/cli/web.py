# SPDX-License-Identifier: Apache-2.0
"""``talkcodec call --web``: serves the page until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import cv2

from talkcodec.cli.signal import interrupted
from talkcodec.web.caller import CallPlan
from talkcodec.web.server import PageServer


def serve(plan: CallPlan, port: int, tell: Callable[[str], None]) -> None:
    """Serve the page at ``port`` of this machine and ``tell`` its address.

    Raises:
        InputError: nothing can listen there.
    """
    cv2.setNumThreads(1)
    asyncio.run(_serve(plan, port, tell))


async def _serve(plan: CallPlan, port: int, tell: Callable[[str], None]) -> None:
    server = await PageServer.open(plan, port)
    try:
        # Not opened from here: a browser's command line is there for every user to read.
        tell(f"open {server.address} in a browser; whoever has this address can use your camera")
        await interrupted()
    finally:
        await server.close()
