# SPDX-License-Identifier: Apache-2.0
"""Video files in and out: times, rotation, grey, damage, losslessness."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.media.reader import VideoReader
from talkcodec.media.writer import VideoWriter
from talkcodec.types import U8

RATE = Fraction(25)


def pictures(count: int, width: int = 64, height: int = 48) -> list[U8]:
    """Smooth pictures, each different, brighter at the left and red at the top."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = [np.stack([255 - 3 * y, 200 - 3 * x, 0 * x + 8 * i], axis=2) for i in range(count)]
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in ramp]


def write(path: Path, ticks: list[int], *, lossless: bool = False) -> list[U8]:
    shown = pictures(len(ticks))
    with VideoWriter(path, RATE, lossless=lossless) as writer:
        for picture, tick in zip(shown, ticks, strict=True):
            writer.write(picture, tick)
    return shown


def read(path: Path) -> tuple[list[Fraction], list[U8]]:
    with VideoReader(path) as reader:
        frames = list(reader)
    return [frame.time for frame in frames], [frame.picture for frame in frames]


def test_times_and_pictures_come_back(tmp_path: Path) -> None:
    shown = write(tmp_path / "a.mp4", list(range(6)))
    times, seen = read(tmp_path / "a.mp4")
    assert times == [Fraction(i, 25) for i in range(6)]
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(shown, seen, strict=True)) < 4


def test_a_variable_frame_rate_stays_variable(tmp_path: Path) -> None:
    ticks = [0, 1, 2, 7, 8, 20]
    write(tmp_path / "a.mp4", ticks)
    times, _ = read(tmp_path / "a.mp4")
    assert times == [Fraction(tick, 25) for tick in ticks]


def test_the_first_frame_is_time_zero_and_late_pictures_are_dropped(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [10, 11, 11, 5, 12], lossless=True)
    times, _ = read(tmp_path / "a.mkv")
    assert [round(float(time) * 25) for time in times] == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
def test_lossless_is_lossless(name: str, tmp_path: Path) -> None:
    shown = write(tmp_path / name, [0, 1, 2], lossless=True)
    _, seen = read(tmp_path / name)
    assert all((a == b).all() for a, b in zip(shown, seen, strict=True))


def test_rotation_told_by_metadata_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    shown = write(path, [0, 1], lossless=True)
    turn_header(path)
    _, seen = read(path)
    assert seen[0].shape == (64, 48, 3)
    # The matrix says "turn clockwise by 90 degrees before showing".
    assert (seen[0] == np.rot90(shown[0], -1)).all()


def turn_header(path: Path) -> None:
    """Write a rotation by 90 degrees clockwise into the display matrix of an mp4 track."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of other fields come first
    one, width = 1 << 16, 48 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, width, 0, 1 << 30)
    path.write_bytes(data)


def test_grey_video_is_read_as_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))
        container.mux(stream.encode(av.VideoFrame.from_ndarray(ramp, format="gray")))
        container.mux(stream.encode(None))
    _, (picture,) = read(path)
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - ramp[:, :, None]).max() <= 1


def test_a_truncated_video_gives_its_frames_and_then_one_line(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a.mkv", tmp_path / "cut.mkv"
    write(whole, list(range(40)), lossless=True)
    data = bytearray(whole.read_bytes())
    cut.write_bytes(data[: len(data) * 2 // 3])
    seen = 0
    try:
        with VideoReader(cut) as reader:
            for _ in reader:
                seen += 1
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017  either ending is right, this one has a form
    assert 10 < seen < 40


@pytest.mark.parametrize("content", [b"", b"not a video at all", bytes(5000)])
def test_what_is_no_video_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a video file, found") as caught:
        VideoReader(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_sound_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        VideoReader(tmp_path / "none.mp4")
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(InputError, match="expected a video stream"):
        VideoReader(path)


def test_an_impossible_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a video path"):
        VideoWriter(tmp_path / "a.nonsense", RATE)
    with pytest.raises(InputError, match="expected a video path"):
        VideoWriter(tmp_path / "nowhere" / "a.mp4", RATE)
