# SPDX-License-Identifier: Apache-2.0
"""A sender and the other end of a real connection, which leaves without a word."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sender import Sender
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.peer import Peer
from talkcodec.types import U8, FaceObservation, Frame

ROOT = Path(__file__).parents[2]
FRAME = Frame(np.zeros((64, 64, 3), np.uint8), 0, Fraction(1, 25))

# Counts turns of the event loop while the sender loads its tracker.
LOADING = """
import asyncio, sys
from sender import Sender

def loads():
    return bool({"openvino", "onnxruntime"} & sys.modules.keys())

async def main():
    sender = Sender()
    print(loads())
    loading = asyncio.create_task(sender.offer())
    turns = 0
    while not loading.done():
        await asyncio.sleep(0.002)
        turns += loads()
    print(loads(), turns)
    await loading
    await sender.close()

asyncio.run(main())
"""


class Tracker:
    """Sees nobody, or fails with ``failure``."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        assert picture.ndim == 3
        assert time >= 0
        if self._failure is not None:
            raise self._failure
        return None

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to release."""


async def called(sender: Sender) -> Peer:
    """Connect ``sender`` with a peer that only listens."""
    peer = Peer(lambda _channel, _data: None)
    await sender.accept(await peer.answer(await sender.offer()))
    return peer


def test_a_connection_that_goes_away_ends_the_call() -> None:
    async def call() -> None:
        sender = Sender(tracker=Tracker())
        peer = await called(sender)
        sender.put(FRAME)
        await peer.close()
        await asyncio.wait_for(sender.ended(), 60)
        with pytest.raises(TalkcodecError, match="expected a call, found it ended: the connection"):
            sender.put(FRAME)
        assert sender.report().frames_captured == 1
        with pytest.raises(TalkcodecError, match="the connection is gone"):
            await sender.close()

    asyncio.run(call())


def test_what_breaks_the_worker_comes_out_as_an_error_of_ours() -> None:
    cause = ZeroDivisionError("no\nway")

    async def call() -> None:
        sender = Sender(tracker=Tracker(cause))
        peer = await called(sender)
        sender.put(FRAME)
        await asyncio.wait_for(sender.ended(), 60)
        with pytest.raises(TalkcodecError, match="ZeroDivisionError") as raised:
            sender.put(FRAME)
        assert raised.value.__cause__ is cause
        assert "\n" not in str(raised.value)
        with pytest.raises(TalkcodecError):
            await sender.close()
        await peer.close()

    asyncio.run(call())


def test_ending_a_call_ourselves_is_no_failure() -> None:
    async def call() -> None:
        sender = Sender(tracker=Tracker())
        peer = await called(sender)
        sender.put(FRAME)
        await sender.close()
        assert sender.report().frames_encoded == 1
        await peer.close()

    asyncio.run(call())


def test_an_answer_to_nothing_is_refused() -> None:
    async def call() -> None:
        sender = Sender(tracker=Tracker())
        with pytest.raises(TalkcodecError, match="expected an offer before its answer"):
            await sender.accept("v=0")
        await sender.close()

    asyncio.run(call())


def test_the_event_loop_goes_on_while_the_tracker_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    before, after, turns = done.stdout.split()
    assert (before, after) == ("False", "True")
    assert int(turns) > 5  # some 200; 2 when loading holds the loop
