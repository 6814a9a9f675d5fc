# SPDX-License-Identifier: Apache-2.0
"""``talkcodec signal`` and ``talkcodec call`` as people run them: processes on one machine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest
from typer.testing import CliRunner

from talkcodec.cli.main import app
from talkcodec.media.sound import SoundReader, SoundWriter, tone

RUN = "from talkcodec.cli.main import app; app()"
QUIET = ("--input", "none", "--output", "none")


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a talkcodec command; end it whatever happens."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def told(process: subprocess.Popen[str], pattern: str) -> str:
    """Wait for a line on standard error that ``pattern`` matches; return its first group."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        match = re.search(pattern, line)
        if match:
            return match[1]
    raise AssertionError(f"expected {pattern}, found {lines}")


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> tuple[Any, str]:
    """Wait for the end; return the JSON result and what else was told."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out), err


def test_a_call_in_three_commands(tmp_path: Path) -> None:
    shown, stats = tmp_path / "shown.mp4", tmp_path / "stats.jsonl"
    reports = ("--stats", str(stats), "--stats-port", "0", "--group", "2", "--max-rate", "400")
    talk = ("--input", "pattern", "--seconds", "3", "--json", "--output")
    with command("signal", "--port", "0") as server:
        url = told(server, r"listening at (ws://\S+)")
        with command("call", "--signaling", url, *talk, str(shown), *reports) as one:
            assert told(one, r"metrics: http://127.0.0.1:(\d+)/metrics") != "0"
            room = told(one, r"room: (\S+)")
            with command("call", "--signaling", url, "--room", room, *talk, "none") as two:
                results = [finish(end) for end in (two, one)]
        server.send_signal(signal.SIGINT)
        assert server.wait(120) == 0
        assert server.stdout is not None
        assert server.stdout.read() == ""
    here, there = (result for result, _ in results)
    assert here["words"] == there["words"]
    assert len(here["words"].split()) == 3
    for result, progress in results:
        assert result["frames_shown"] > 0
        assert result["frames_sent"] > 0
        assert result["connections"] == 1
        assert f"both sides should read: {result['words']}" in progress
    last = json.loads(stats.read_text().splitlines()[-1])
    assert last["received_frames_shown"] > 0
    assert last["sent_groups"] > 0
    assert last["sent_mode"] == "motion"
    with av.open(str(shown)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0
        assert "compositeSynthetic" in container.metadata["comment"]


def test_a_call_by_two_lines() -> None:
    with (
        command("call", *QUIET, "--seconds", "1", "--json") as one,
        command("call", "--answer", *QUIET, "--seconds", "1", "--json") as two,
    ):
        say(two, "hello?")
        say(two, told(one, r"^(talkcodec1:\S+)$"))
        assert "begins with talkcodec1:" in told(two, "(.*found 'hello.*)")
        say(one, told(two, r"^(talkcodec1:\S+)$"))
        results = [finish(end)[0] for end in (one, two)]
    assert results[0]["words"] == results[1]["words"]


def test_a_call_by_one_post_ends_with_ctrl_c(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    common = (*QUIET, "--token-file", str(token), "--json")
    with command("call", "--signaling", "listen:127.0.0.1:0", *common) as one:
        url = told(one, r"waiting for a POST at (http\S+)")
        with command("call", "--signaling", url, *common) as two:
            words = told(two, r"should read: (.*)")
            two.send_signal(signal.SIGINT)
            results = [finish(end)[0] for end in (two, one)]
    assert [result["words"] for result in results] == [words, words]
    assert results[0]["ended"] == "interrupted"
    assert results[1]["ended"].startswith("the other side left")


def test_input_that_ends_before_the_line_came_says_so() -> None:
    with command("call", "--answer", *QUIET) as process:
        out, err = process.communicate("", timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err == "talkcodec: expected a line of the other side, found the end of input\n"


def test_ctrl_c_before_anybody_came_says_so() -> None:
    with command("call", "--signaling", "listen:127.0.0.1:0", *QUIET, "--json") as process:
        told(process, "(waiting for a POST)")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err == "talkcodec: interrupted before there was a call\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--signaling", "carrier-pigeon"], "expected paste, ws://, wss://"),
        (["--signaling", "listen:127.0.0.1:70000"], "expected paste, ws://, wss://"),
        (["--room", "a-b-c-d"], "expected a rendezvous server for a room, found paste"),
        (["--signaling", "ws://127.0.0.1:9", "--room", "a-b"], "expected a room code of 4 words"),
        (["--signaling", "http://127.0.0.1:9/", "--answer"], "expected --answer with paste only"),
        (["--stun", "http://x"], "expected stun:HOST[:PORT], found http://x"),
        (["--turn", "turn:x"], "expected --turn-user, and a password in"),
        (["--turn-user", "me"], "expected --turn with its user and password"),
        (["--token-file", "nowhere"], "expected a file with a secret, found nowhere"),
        (["--group", "5"], "expected a group of 1 to 4 frames, found 5"),
        (["--max-rate", "1"], "expected --max-rate 10 to 2000, found 1"),
        (["--web", "--stats", "x"], "expected --web without --stats"),
        (["--seconds", "0"], "expected --seconds from 0 to 86400, found 0"),
        (["--signaling", "paste", "--output", "x.nonsense"], "expected a video path to write"),
        (["--input", "nowhere.mp4"], "expected a video file, found nowhere.mp4"),
        (["--sound-input", "x.wav"], "expected pictures beside sound, found --sound-input x.wav"),
        (
            ["--input", "pattern", "--sound-input", "x.wav"],
            "expected a file with sound, found x.wav",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["call", *QUIET, *options])
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_sound_of_a_file_is_heard_on_the_other_side(tmp_path: Path) -> None:
    said, heard = tmp_path / "said.wav", tmp_path / "heard.wav"
    with SoundWriter(said) as writer:
        for block in tone(6.0):
            writer.play(block)
    with (
        command(
            "call",
            "--input",
            "pattern",
            "--output",
            "none",
            "--sound-input",
            str(said),
            "--seconds",
            "5",
            "--json",
        ) as one,
        command(
            "call", "--answer", *QUIET, "--sound-output", str(heard), "--seconds", "3", "--json"
        ) as two,
    ):
        say(two, told(one, r"^(talkcodec1:\S+)$"))
        say(one, told(two, r"^(talkcodec1:\S+)$"))
        there, here = finish(two)[0], finish(one)[0]
    assert here["sound_sent"] > 50
    assert there["sound_played"] > 50
    with SoundReader(heard) as reader:
        loudest = max(int(abs(block.samples.astype(int)).max()) for block in reader)
    assert 5000 < loudest < 15000  # 0.3 of full scale is 9830
