# SPDX-License-Identifier: Apache-2.0
"""Where pictures go, by name."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.errors import InputError, MissingDependency
from talkcodec.media.reader import VideoReader
from talkcodec.media.sinks import ShownFrame, open_sink, register_sink
from talkcodec.media.window import WindowSink

RATE = Fraction(25)


def frame(tick: int) -> ShownFrame:
    return ShownFrame(np.full((64, 64, 3), 10 * tick, np.uint8), tick, tick / 25)


def test_a_file_keeps_the_time_of_what_was_shown(tmp_path: Path) -> None:
    path = tmp_path / "shown.mp4"
    with open_sink(f"file:{path}", RATE) as sink:
        for tick in (100, 101, 105):
            sink.show(frame(tick - 95))
    with VideoReader(path) as video:
        assert [round(float(shown.time) * 25) for shown in video] == [0, 1, 5]


def test_pictures_say_whether_they_are_synthesised() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert ShownFrame(picture, 0).synthesised
    assert not ShownFrame(picture, 0, 0.0, "video").synthesised


def test_nothing_is_done_with_pictures_for_none() -> None:
    shown = frame(0)
    before = shown.picture.copy()
    with open_sink("none", RATE) as sink:
        sink.show(shown)
    assert np.array_equal(shown.picture, before)


def test_a_sink_of_ones_own_is_opened_by_name_and_closed() -> None:
    class Last:
        def __init__(self, argument: str, tick_rate: Fraction) -> None:
            self.argument, self.tick_rate = argument, tick_rate
            self.tick, self.closed = -1, False

        def show(self, shown: ShownFrame) -> None:
            self.tick = shown.tick

        def close(self) -> None:
            self.closed = True

    register_sink("last-of-test", Last)
    with open_sink("last-of-test:a:b", RATE) as sink:
        assert isinstance(sink, Last)
        sink.show(frame(7))
        assert not sink.closed
    assert (sink.argument, sink.tick_rate, sink.tick, sink.closed) == ("a:b", RATE, 7, True)
    for name in ("last-of-test", "file", "a:b", ""):
        with pytest.raises(ValueError, match="expected a new name"):
            register_sink(name, Last)


def test_unknown_names_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match="expected a sink of camera, file"), open_sink("tv", RATE):
        pass


def test_a_window_holds_the_newest_picture_only() -> None:
    sink = WindowSink()
    assert sink.poll()  # nothing to draw, and no window to ask
    sink.close()


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display")
def test_a_window_shows_and_goes_away() -> None:
    with open_sink("window:test", RATE) as sink:
        assert isinstance(sink, WindowSink)
        for tick in range(3):
            sink.show(frame(tick))
            assert sink.poll()


def test_a_virtual_camera_is_there_or_missed_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with (
        pytest.raises(MissingDependency, match=r"talkcodec\[virtual-camera\]"),
        open_sink("camera", RATE),
    ):
        pass


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="there may be a virtual camera")
def test_a_machine_without_a_virtual_camera_says_so() -> None:
    pytest.importorskip("pyvirtualcam", reason="an extra: virtual-camera")
    with open_sink("camera", RATE) as sink, pytest.raises(InputError, match="virtual camera"):
        sink.show(frame(0))


def test_a_window_says_in_its_title_what_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(cv2, "pollKey", lambda: -1)
    monkeypatch.setattr(cv2, "setWindowTitle", lambda _name, title: titles.append(title))
    sink = WindowSink("call")
    sink.note = "ordinary video"
    assert sink.poll()
    assert titles == []  # there is no window yet
    for tick in range(3):
        sink.show(frame(tick))
        assert sink.poll()
    assert titles == ["call: ordinary video"]
