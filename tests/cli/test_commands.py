# SPDX-License-Identifier: Apache-2.0
"""The commands as a shell sees them: standard output, standard error, exit status, files."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcodec.bench.speed import usable_cores
from talkcodec.bitstream import Reference, TkcReader
from talkcodec.bitstream.samples import whole_file
from talkcodec.cli.info import describe, describe_line
from talkcodec.cli.output import put_in_place
from talkcodec.media.reader import VideoReader
from talkcodec.media.sources import builtin_source
from talkcodec.media.writer import VideoWriter

FRAMES = 20


def talkcodec(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from talkcodec.cli.main import app; app()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    """Assert that a command failed with one line that contains ``words`` and no traceback."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("talkcodec: ")
    assert words in lines[0]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "face.mp4"
    with VideoWriter(path, Fraction(25)) as writer:
        for frame in builtin_source(FRAMES / 25):
            writer.write(frame.picture, frame.pts)
    return path


@pytest.fixture(scope="module")
def stream(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stream") / "face.tkc"
    done = talkcodec("encode", clip, path)
    assert (done.returncode, done.stderr) == (0, "")
    return path


def test_info_adds_up(stream: Path) -> None:
    done = talkcodec("info", stream, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["frames"] == FRAMES
    assert (told["fps"], told["seconds"]) == (25.0, 0.8)
    assert told["references"] >= 1
    sizes, kbps = told["bytes"], told["kbps"]
    assert sizes["total"] == stream.stat().st_size
    assert sizes["total"] == sizes["references"] + sizes["motion"] + sizes["header"]
    assert sizes["unread"] == 0
    packets = told["references"] + FRAMES // 3 + 1
    assert 8 + 25 + 3 * packets < sizes["header"] < 8 + 40 + 5 * packets + 12
    payload = (sizes["references"] + sizes["motion"]) * 8 / 0.8 / 1000
    assert payload <= kbps["payload"] <= payload * 1.05  # the stream header is payload too
    assert kbps["wire"] > kbps["payload"] + 10


def test_info_of_a_pipe_counts_what_it_read(stream: Path) -> None:
    command = [sys.executable, "-c", "from talkcodec.cli.main import app; app()"]
    done = subprocess.run(
        [*command, "info", "/dev/stdin", "--json"],
        input=stream.read_bytes(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == describe(stream)[0]["bytes"]


@pytest.mark.parametrize(
    "damage", ["a flipped bit", "an end", "more after the end", "a packet of another kind"]
)
def test_what_damage_leaves_unread_is_no_header(damage: str, stream: Path, tmp_path: Path) -> None:
    data = bytearray(stream.read_bytes())
    before = describe(stream)[0]["bytes"]
    place = len(data) - 60
    if damage == "a flipped bit":
        data[place] ^= 4
    elif damage == "an end":
        del data[place:]
    elif damage == "more after the end":
        data += b"junk"
    else:
        with stream.open("rb") as file:
            data = bytearray(whole_file([*(p.data for p in TkcReader(file)), b"\7" * 99]))
    bad = tmp_path / "bad.tkc"
    bad.write_bytes(data)
    told, found = describe(bad)
    assert found is not None
    sizes = told["bytes"]
    assert sizes["total"] == len(data)
    assert sizes["header"] <= before["header"] + 3  # of one more record
    assert sizes["unread"] > 0
    assert sum(size for name, size in sizes.items() if name != "total") == sizes["total"]
    assert f"header + {sizes['unread']} unread" in describe_line(told)


def test_info_accounts_for_every_reference(stream: Path) -> None:
    told, _ = describe(stream)
    listed = told["reference_list"]
    with stream.open("rb") as file:
        sent = [packet.data for packet in TkcReader(file) if packet.kind == "reference"]
    assert len(listed) == told["references"] == len(sent)
    assert sum(one["bytes"] for one in listed) == told["bytes"]["references"]
    for one, data in zip(listed, sent, strict=True):
        reference = Reference.parse(data)
        assert data.endswith(reference.picture)
        assert one == {
            "tick": reference.tick,
            "key": reference.key,
            "slot": reference.slot,
            "bytes": len(data),
            "picture_bytes": len(reference.picture),
            "state_bytes": len(data) - len(reference.picture),
        }
    assert listed[0]["key"]
    assert listed[0]["picture_bytes"] > 500


def test_info_shows_references_as_a_table(stream: Path) -> None:
    told, _ = describe(stream)
    done = talkcodec("info", stream)
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = done.stdout.splitlines()[3:]
    assert heading.split() == ["reference", "kind", "slot", "bytes", "=", "picture", "+", "state"]
    first = told["reference_list"][0]
    sizes = f"{first['bytes']} = {first['picture_bytes']} + {first['state_bytes']}"
    assert rows[0].split() == f"@{first['tick']} key {first['slot']} {sizes}".split()
    assert len(rows) == told["references"]


def test_decode_draws_every_frame_at_the_size_asked_for(stream: Path, tmp_path: Path) -> None:
    done = talkcodec("decode", stream, tmp_path / "out.mp4", "--size", 512, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["frames"] == FRAMES
    with VideoReader(tmp_path / "out.mp4") as reader:
        frames = list(reader)
    assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(FRAMES)]
    assert frames[0].picture.shape == (512, 512, 3)


def test_what_comes_out_looks_like_what_went_in(clip: Path, stream: Path, tmp_path: Path) -> None:
    assert talkcodec("decode", stream, tmp_path / "out.mkv", "--lossless").returncode == 0
    with VideoReader(clip) as one, VideoReader(tmp_path / "out.mkv") as other:
        pairs = list(zip(one, other, strict=True))
    errors = [np.abs(a.picture.astype(float) - b.picture).mean() for a, b in pairs]
    assert max(errors) < 8.0


def test_a_variable_frame_rate_comes_out_as_it_went_in(tmp_path: Path) -> None:
    ticks = [0, 1, 2, 4, 5, 9, 10, 12, 13, 14, 20, 21]
    source, coded, out = (tmp_path / name for name in ("in.mp4", "a.tkc", "out.mp4"))
    with VideoWriter(source, Fraction(30)) as writer:
        for tick, frame in zip(ticks, builtin_source(len(ticks) / 25), strict=True):
            writer.write(frame.picture, tick)
    assert talkcodec("encode", source, coded).returncode == 0
    assert talkcodec("decode", coded, out).returncode == 0
    with VideoReader(out) as reader:
        assert [frame.time for frame in reader] == [Fraction(tick, 30) for tick in ticks]


def test_no_frame_is_dropped_silently(tmp_path: Path) -> None:
    source, out = tmp_path / "in.mp4", tmp_path / "a.tkc"
    stamps = [0, 400, 404, 900, 1200, 1300]  # two of them 0.4 ms apart: streams have no such ticks
    with VideoWriter(source, Fraction(10_000)) as writer:
        for stamp, frame in zip(stamps, builtin_source(len(stamps) / 25), strict=True):
            writer.write(frame.picture, stamp)
    done = talkcodec("encode", source, out, "--json")
    told = json.loads(done.stdout)
    assert (told["frames"], told["dropped"]) == (5, 1)
    assert talkcodec("encode", source, out, "-y").stderr.startswith("dropped: 1 frames")


def test_nothing_is_overwritten_unasked(clip: Path, stream: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.mp4"
    precious.write_bytes(b"mine")
    refused(talkcodec("decode", stream, precious), "-y overwrites it")
    refused(talkcodec("encode", clip, precious), "-y overwrites it")
    assert precious.read_bytes() == b"mine"
    refused(talkcodec("encode", clip, clip, "-y"), "expected an output other than the input")
    assert talkcodec("decode", stream, precious, "-y").returncode == 0
    assert precious.read_bytes() != b"mine"


def test_of_a_truncated_file_the_good_part_is_written(stream: Path, tmp_path: Path) -> None:
    cut, out = tmp_path / "cut.tkc", tmp_path / "out.mp4"
    cut.write_bytes(stream.read_bytes()[:-40])
    refused(talkcodec("decode", cut, out), "frames before it")
    with VideoReader(out) as reader:
        assert 0 < len(list(reader)) < FRAMES
    done = talkcodec("info", cut, "--json")
    refused(done, "expected a whole .tkc file")
    told = json.loads(done.stdout)
    assert not told["complete"]
    assert 0 < told["frames"] < FRAMES


def test_after_a_packet_that_is_none_the_rest_is_decoded(stream: Path, tmp_path: Path) -> None:
    with stream.open("rb") as file:
        packets = [packet.data for packet in TkcReader(file)]
    motion = [index for index, data in enumerate(packets) if data[0] & 0x80]
    lost = packets[motion[2]]
    bad = list(packets)
    bad[motion[2]] = lost[:3] + b"\x63" + lost[4:]  # of a reference that nobody sent
    bad[motion[1] : motion[1]] = [b"\7xx", b"\2", bytes((1, 1, 0, 7)) + packets[0][4:]]
    path, out = tmp_path / "bad.tkc", tmp_path / "out.mp4"
    path.write_bytes(whole_file(bad))
    done = talkcodec("decode", path, out, "--json")
    refused(done, "refused 4 packets, the first: expected a packet type, found 0x07")
    told = json.loads(done.stdout)
    assert told["refused"] == 4
    assert FRAMES - 4 <= told["frames"] < FRAMES
    with VideoReader(out) as reader:
        frames = list(reader)
    assert len(frames) == told["frames"]
    assert frames[-1].time == Fraction(FRAMES - 1, 25)
    done = talkcodec("info", path, "--json")
    refused(done, "refused 4 packets")
    summary = json.loads(done.stdout)
    assert (summary["refused"], summary["frames"]) == (4, told["frames"])
    assert summary["complete"]


def test_damage_and_refused_packets_are_told_in_one_line(stream: Path, tmp_path: Path) -> None:
    with stream.open("rb") as file:
        packets = [packet.data for packet in TkcReader(file)]
    path = tmp_path / "bad.tkc"
    path.write_bytes(whole_file([*packets[:4], b"\7", *packets[4:]])[:-40])
    done = talkcodec("decode", path, tmp_path / "out.mp4")
    refused(done, "frames before it; refused 1 packet: expected a packet type")
    nothing = tmp_path / "nothing.tkc"
    nothing.write_bytes(whole_file([packets[0], *(p for p in packets if p[0] & 0x80)]))
    refused(talkcodec("decode", nothing, tmp_path / "none.mp4"), "the first: expected reference")
    assert not (tmp_path / "none.mp4").exists()


def test_a_flipped_bit_is_noticed(stream: Path, tmp_path: Path) -> None:
    data = bytearray(stream.read_bytes())
    data[-60] ^= 4
    bad = tmp_path / "bad.tkc"
    bad.write_bytes(data)
    refused(talkcodec("decode", bad, tmp_path / "out.mp4"), "expected")
    assert (tmp_path / "out.mp4").stat().st_size > 0, "what came before the damage is kept"


def test_foreign_files_are_refused_and_leave_nothing_behind(clip: Path, tmp_path: Path) -> None:
    refused(talkcodec("decode", clip, tmp_path / "a.mp4"), "expected a .tkc file")
    refused(talkcodec("info", clip), "expected a .tkc file")
    refused(talkcodec("info", tmp_path / "none.tkc"), "expected a .tkc file, found")
    text = tmp_path / "text.txt"
    text.write_text("hello")
    refused(talkcodec("encode", text, tmp_path / "a.tkc"), "expected a video file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.txt"]


def test_a_video_without_a_face_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    with VideoWriter(empty, Fraction(25)) as writer:
        for tick in range(3):
            writer.write(np.full((96, 96, 3), 128, np.uint8), tick)
    refused(talkcodec("encode", empty, tmp_path / "a.tkc"), "found none in 3 frames")
    assert not (tmp_path / "a.tkc").exists()


def test_what_fails_costs_no_earlier_output(clip: Path, stream: Path, tmp_path: Path) -> None:
    coded, drawn = tmp_path / "a.tkc", tmp_path / "a.mp4"
    for path in (coded, drawn):
        path.write_bytes(b"good")
    empty = tmp_path / "empty.mkv"
    with VideoWriter(empty, Fraction(25), lossless=True) as writer:
        writer.write(np.full((96, 96, 3), 128, np.uint8), 0)
    refused(talkcodec("encode", empty, coded, "-y"), "expected a face")
    short = tmp_path / "short.tkc"
    short.write_bytes(stream.read_bytes()[:60])
    refused(talkcodec("decode", short, drawn, "-y"), "expected a whole .tkc file")
    refused(talkcodec("decode", clip, drawn, "-y"), "expected a .tkc file")
    assert coded.read_bytes() == drawn.read_bytes() == b"good"
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    out, link = tmp_path / "a.tkc", tmp_path / "link.tkc"
    out.write_bytes(b"old")
    link.symlink_to(out)

    def interrupted() -> None:
        with put_in_place(out) as unfinished:
            unfinished.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.read_bytes() == b"old"
    with put_in_place(link) as unfinished:
        unfinished.write_bytes(b"new")
        assert unfinished.suffix == ".tkc"
        assert out.read_bytes() == b"old"
    assert out.read_bytes() == b"new"
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tkc", "link.tkc"]
    with put_in_place(Path("/dev/null")) as device:
        assert device == Path("/dev/null")


def test_the_systems_errors_are_told_like_all_others(clip: Path, tmp_path: Path) -> None:
    none, folder, file = tmp_path / "none.tkc", tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.touch()
    out = tmp_path / "a.mp4"
    for source, found in ((none, "no such file or directory"), (folder, "is a directory")):
        line = f"expected a .tkc file, found {source}: {found}"
        refused(talkcodec("info", source), line)
        refused(talkcodec("decode", source, out), line)
    refused(talkcodec("encode", folder, out), f"expected a video file, found {folder}: is a dir")
    refused(talkcodec("encode", clip, folder, "-y"), "expected a file to write, found the folder")
    refused(talkcodec("decode", none, folder, "-y"), "expected a file to write, found the folder")
    away = ("encode", clip, file / "a.tkc")
    refused(talkcodec(*away), f"expected an existing folder, found {file}")


def test_options_are_checked(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.tkc"
    refused(talkcodec("encode", clip, out, "--size", 300), "expected a size of 256 or 512")
    refused(talkcodec("encode", clip, out, "--tracker", "nose"), "expected a tracker")
    assert talkcodec("encode", clip, out, "--group", 9).returncode == 2
    assert talkcodec("nonsense").returncode == 2
    assert not out.exists()


def test_tracebacks_only_under_debug(tmp_path: Path) -> None:
    done = talkcodec("--debug", "info", tmp_path / "none.tkc")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_describe_agrees_with_the_packets(stream: Path) -> None:
    told, damage = describe(stream)
    assert damage is None
    assert told["complete"]


def test_version_and_doctor() -> None:
    told = json.loads(talkcodec("version", "--json").stdout)
    assert told["format"] >= 1
    assert len(told["tables"]) == 16
    done = talkcodec("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert found["ok"]
    assert {"python", "weights", "face tracker", "one OpenCV"} <= {
        check["name"] for check in found["checks"]
    }


def test_bench_measures_every_stage() -> None:
    from talkcodec.bench.speed import STAGES

    done = talkcodec("bench", "--json", "--seconds", 0.8, "--size", 256, "--cores", 999)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["sizes"]["256"]
    assert told["cores"] == usable_cores()  # what there are, not what was asked for
    assert told["frames"] == FRAMES
    for stage in STAGES:
        assert told["stages"][stage]["calls"] >= 1, stage
        assert 0 < told["stages"][stage]["median_ms"] <= told["stages"][stage]["p95_ms"]
    assert told["fps"] > 0
    assert 50 < told["peak_rss_mb"] < 4000
