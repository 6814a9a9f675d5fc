# SPDX-License-Identifier: Apache-2.0
"""Calls that may never return, and an AV1 encoder that hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from talkcodec.reference import av1
from talkcodec.reference.av1 import Av1PictureDecoder, Av1PictureEncoder
from talkcodec.reference.watched import Stalled, within


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """An event that comes only when the test is over, so that no thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


def test_what_returns_in_time_is_returned_or_raised() -> None:
    assert within(60, lambda: threading.current_thread().name) == "watched"
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)


def test_what_does_not_return_is_left_behind(never: threading.Event) -> None:
    with pytest.raises(Stalled, match=r"^expected an answer within 0.01 s, found none$"):
        within(0.01, never.wait)


class Hanging:
    """An encoder that hangs at its picture number ``at`` and is otherwise a real one."""

    def __init__(self, context: VideoCodecContext, never: threading.Event, at: int) -> None:
        self.context, self.never, self.left = context, never, at

    def encode(self, frame: VideoFrame | None) -> object:
        if self.left == 0:
            self.never.wait()
        self.left -= 1
        return self.context.encode(frame)


@pytest.mark.parametrize("at", [0, 2])
def test_a_chain_begins_anew_when_the_encoder_hangs(
    at: int, never: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = 0

    class Encoder(Av1PictureEncoder):
        def _open(self, quality: int) -> VideoCodecContext:
            nonlocal opened
            opened += 1
            real = super()._open(quality)
            first = opened == 1
            return cast("VideoCodecContext", Hanging(real, never, at)) if first else real

    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (256, 256, 3), np.uint8) // 8 + 90 for _ in range(4)]
    encoder, decoder = Encoder(256), Av1PictureDecoder(256)
    keys = []
    for number, picture in enumerate(pictures):
        # Only the one that hangs is given up early: a busy machine may be slow.
        monkeypatch.setattr(av1, "PATIENCE", 2.0 if number == at else 60)
        made = encoder.encode(picture)
        keys.append(made.key)
        shown = decoder.decode(made.data, key=made.key)
        assert np.abs(shown.astype(int) - picture).mean() < 16
    encoder.close()
    assert keys == [number in (0, at) for number in range(4)]
    assert opened == 2
