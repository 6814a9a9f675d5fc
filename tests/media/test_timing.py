# SPDX-License-Identifier: Apache-2.0
"""Mean rates and tick rates come from time stamps, whatever a container declares."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from talkcodec.bench.source import load_source
from talkcodec.media.reader import VideoReader
from talkcodec.media.timing import TICK_RANGE, frame_times, mean_rate, tick_rate
from talkcodec.media.writer import VideoWriter

MS = Fraction(1000)
#: Gaps in ms of a camera that waits for light, and of a phone's jittery thirty frames a second.
GAPS = [20, 33, 40, 66, 120, 33, 20, 40, 40, 66] * 4
JITTER = [33, 34, 30, 41, 66, 33, 33] * 6


def stamps(gaps: list[int]) -> list[Fraction]:
    return [Fraction(ms, 1000) for ms in accumulate([0, *gaps])]


def write(path: Path, times: list[Fraction], *, declared: bool = True) -> None:
    """Write frames at ``times`` in whole ms, perhaps without the rate that the muxer declares."""
    with VideoWriter(path, MS, lossless=True) as writer:
        for index, time in enumerate(times):
            writer.write(np.full((48, 64, 3), 2 * index, np.uint8), int(time * MS))
    if not declared:
        data = bytearray(path.read_bytes())
        place = data.index(b"\x23\xe3\x83")  # DefaultDuration; a Void element of its length instead
        size = data[place + 3] & 0x7F
        data[place : place + 2] = bytes((0xEC, 0x80 | size + 2))
        path.write_bytes(data)


def distinct(times: list[Fraction], rate: Fraction) -> bool:
    return len({round(time * rate) for time in times}) == len(times)


@pytest.mark.parametrize("declared", ["a unit", "nothing"])
def test_the_mean_rate_is_measured(declared: str, tmp_path: Path) -> None:
    times = stamps(JITTER)
    path = tmp_path / "browser.mkv"
    write(path, times, declared=declared == "a unit")
    mean = (len(times) - 1) / times[-1]
    with VideoReader(path) as reader:
        assert float(reader.info.rate) == pytest.approx(float(mean), rel=1e-4)
    clip = load_source(path, 64).clip
    assert float(clip.fps) == pytest.approx(float(mean), rel=1e-4)
    assert len(clip.frames) == len(times)


def test_seconds_are_seconds_of_the_time_stamps(tmp_path: Path) -> None:
    times = stamps(JITTER)
    write(tmp_path / "browser.mkv", times, declared=False)
    clip = load_source(tmp_path / "browser.mkv", 64, seconds=0.5).clip
    assert len(clip.frames) == sum(time < 0.5 for time in times)
    assert clip.seconds == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("gaps", [GAPS, JITTER])
def test_every_frame_of_a_file_has_a_tick_of_its_own(gaps: list[int], tmp_path: Path) -> None:
    times = stamps(gaps)
    write(tmp_path / "a.mkv", times)
    with VideoReader(tmp_path / "a.mkv") as reader:
        shown = [frame.time for frame in reader]
        rate = reader.info.tick_rate
    assert shown == times
    assert distinct(shown, rate)
    off = max(abs(round(time * rate) / rate - time) for time in shown)
    assert off <= max(Fraction(5, 1000), 1 / rate / 4)


def test_what_cannot_be_read_twice_has_no_times(tmp_path: Path) -> None:
    assert frame_times(tmp_path / "none.mkv") == []
    (tmp_path / "text.mkv").write_text("no video")
    assert frame_times(tmp_path / "text.mkv") == []


@pytest.mark.parametrize(
    ("times", "declared", "base", "expected"),
    [
        ([Fraction(i, 25) for i in range(9)], 25, 25, 25),
        (stamps([33, 33, 34] * 9), Fraction(30000, 1001), 1000, Fraction(30000, 1001)),
        (stamps([40] * 9), 1000, 1000, 25),  # the unit of the stamps is no rate
        ([Fraction(i, 30) for i in (0, 1, 2, 4, 5, 9)], 17, 30, 30),  # the grid, not the mean
        (stamps([33, 33, 34, 67] * 9), Fraction(240, 10), 30, 30),
        (stamps([40] * 5 + [5000] + [40] * 5), 25, 25, 25),
        ([Fraction(i, 240) for i in range(9)], 240, 240, 240),
        ([Fraction(5 * i) for i in range(4)], Fraction(1, 5), Fraction(1, 5), 1),
        ([Fraction(0)], 25, 25, 25),
        ([], 25, 25, 25),  # a pipe
        ([], 25, 90000, 100),
    ],
)
def test_tick_rates(
    times: list[Fraction], declared: Fraction, base: Fraction, expected: Fraction
) -> None:
    assert tick_rate(times, Fraction(declared), Fraction(base)) == expected


@pytest.mark.parametrize("seed", range(8))
def test_jittered_stamps_never_share_a_tick(seed: int) -> None:
    random = np.random.default_rng(seed)
    gaps = random.integers(1 + 4 * seed, 90, 300).tolist()
    times = stamps(gaps)
    rate = tick_rate(times, Fraction(25), Fraction(25))
    assert TICK_RANGE[0] <= rate <= TICK_RANGE[1]
    assert distinct(times, rate)
    assert float(mean_rate(times, Fraction(25))) == pytest.approx(300 / float(times[-1]), rel=1e-3)


def test_no_rate_is_finer_than_a_stream_has() -> None:
    times = [Fraction(i, 90000) for i in (0, 1, 3000, 6000)]
    assert tick_rate(times, Fraction(30), Fraction(90000)) == TICK_RANGE[1]
