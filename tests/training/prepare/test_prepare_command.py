# SPDX-License-Identifier: Apache-2.0
"""``talkcodec train prepare`` and ``train store`` as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from talkcodec.media.reader import VideoReader
from training.prepare import read_passages
from training.store import FrameStore

for _package in ("mediapipe", "webdataset"):
    pytest.importorskip(_package, reason=f"{_package} is not installed: requirements/teacher.txt")

pytestmark = pytest.mark.timeout(300)


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from talkcodec.cli.main import app; app()", "train"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def prepared(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    done = train("prepare", videos, out, "--no-mask", "--val-share", 0.4, "--workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("train: 0.0 minutes, 1 passages of 1 clips, 1 people, ")
    assert lines[2].startswith("MB a minute: all ")
    assert lines[3] == "left out: duplicate 1, no face 1, unreadable 1"
    assert lines[4:] == [str(out / "index.json"), str(out / "summary.html")]
    return out


def test_run_again_it_tells_the_same_as_json(videos: Path, prepared: Path) -> None:
    done = train("prepare", videos, prepared, "--no-mask", "--val-share", 0.4, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["fresh_clips"] == 0
    assert told["totals"]["all"]["frames"] == 60
    assert told["rejected"] == {"duplicate": 1, "no face": 1, "unreadable": 1}
    assert (told["failed"], told["left_out"], told["shards"]) == ({}, {}, 2)


def test_a_store_is_built_from_it(prepared: Path, tmp_path: Path) -> None:
    done = train("store", prepared, tmp_path / "s", "--split", "train", "--stride", 2, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {k: json.loads(done.stdout)[k] for k in ("frames", "passages", "people")} == {
        "frames": 15,
        "passages": 1,
        "people": 1,
    }
    store = FrameStore.open(tmp_path / "s")
    (passage,) = read_passages(prepared, "train")
    assert (store.landmarks == passage.labels.landmarks[::2]).all()
    (tmp_path / "p.mp4").write_bytes(passage.video)
    with VideoReader(tmp_path / "p.mp4") as reader:
        pictures = [frame.picture for frame in reader]
    assert (store.frames[7] == pictures[14]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("prepare", "nowhere", "out"), "expected a folder of videos, found"),
        (("prepare", ".", "../out", "--licence", "mine"), "permissive or any, found mine"),
        (("prepare", ".", "../out", "--split", "test"), "train or val, found test"),
        (("prepare", ".", "../out", "--identity", "x"), "expected a group that names the person"),
        (
            ("prepare", ".", "../out", "--ray", "here"),
            "expected HOST:PORT, auto or local, found here",
        ),
        (("store", "nowhere", "out", "--split", "val"), "run talkcodec train prepare first"),
        (("store", "nowhere", "out", "--split", "test"), "train or val, found test"),
    ],
)
def test_errors_are_one_line(
    arguments: tuple[object, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = train(*arguments, *(("--no-mask",) if arguments[0] == "prepare" else ()))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("talkcodec: ")
    assert words in lines[0]
    assert done.stdout == ""


def test_a_store_is_not_written_over(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "frames.npy").touch()
    done = train("store", prepared, tmp_path, "--split", "val")
    assert done.returncode == 1
    assert "expected a new folder" in done.stderr


def test_a_store_of_both_splits_is_not_made_by_default(prepared: Path, tmp_path: Path) -> None:
    done = train("store", prepared, tmp_path / "s")
    assert done.returncode == 2
    assert "--split" in done.stderr
    assert not (tmp_path / "s").exists()
