# SPDX-License-Identifier: Apache-2.0
"""Nobody is told what you do: whole commands reach no address but this machine's own."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import sysconfig
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from subprocess import run

import pytest

from talkcodec.media.sources import builtin_source
from talkcodec.media.writer import VideoWriter

WATCH = Path(__file__).with_name("network_watch.py")
TALKCODEC = str(Path(sysconfig.get_path("scripts")) / "talkcodec")
CANNOT = 77


@dataclass(frozen=True)
class Seen:
    """How a command ended, whom it reached, and what of that was refused."""

    status: int
    errors: str
    reached: list[str]
    refused: list[str]

    def is_quiet(self) -> bool:
        """Whether the command did its work and spoke to nobody, itself included."""
        assert self.status == 0, self.errors
        return self.reached == self.refused == []


def watch(folder: Path, *command: str, path: Path | None = None) -> Seen:
    """Run ``command`` in ``folder`` as a user who is new here and has not opted out of anything."""
    report = folder / "report.json"
    told = {"CI", "ORT_DISABLE_TELEMETRY", "OPENVINO_TELEMETRY"}
    environment = {key: value for key, value in os.environ.items() if key not in told}
    environment |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = run(
        [sys.executable, str(WATCH), str(report), *command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    if done.returncode == CANNOT:
        pytest.skip(f"this system cannot watch: {done.stderr.strip()}")
    assert report.exists(), done.stderr
    found = json.loads(report.read_text())
    return Seen(done.returncode, done.stderr, found["reached"], found["refused"])


def python(folder: Path, program: str, path: Path | None = None) -> Seen:
    return watch(folder, sys.executable, "-c", program, path=path)


# Is the watcher awake?

#: A socket that may send to everybody. ``setsockopt`` returns None.
BROADCASTER = "((s := socket(2, SOCK_DGRAM)).setsockopt(SOL_SOCKET, SO_BROADCAST, 1) or s)"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("socket(AF_INET, SOCK_STREAM).connect(('192.0.2.1', 443))", "connect inet 192.0.2.1 443"),
        ("socket(AF_INET, SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))", "sendto inet 192.0.2.1 9"),
        (
            "socket(AF_INET, SOCK_DGRAM).sendmsg([b'x'], [], 0, ('192.0.2.1', 9))",
            "sendmsg inet 192.0.2.1 9",
        ),
        (
            "socket(AF_INET6, SOCK_DGRAM).connect(('2001:db8::1', 9))",
            "connect inet 2001:db8::1 9",
        ),
        (
            "socket(AF_INET6, SOCK_DGRAM).connect(('::ffff:192.0.2.1', 9))",
            "connect inet 192.0.2.1 9",
        ),
        ("socket(AF_INET, SOCK_DGRAM).connect(('127.0.0.1', 53))", "connect inet 127.0.0.1 53"),
        ("socket(AF_INET, SOCK_DGRAM).sendto(b'x', ('224.0.0.251', 9))", "sendto inet 224"),
        (f"{BROADCASTER}.sendto(b'x', ('255.255.255.255', 9))", "sendto inet 255.255.255.255 9"),
        ("socket(AF_UNIX).connect('/run/somebody')", "connect unix /run/somebody"),
        ("getaddrinfo('example.invalid', 443)", ""),
    ],
)
def test_the_watcher_sees_and_refuses_every_way_out(tmp_path: Path, call: str, told: str) -> None:
    program = f"from socket import *\ntry:\n    {call}\nexcept OSError: print('refused')\n"
    seen = python(tmp_path, program)
    assert seen.status == 0, seen.errors
    if not told:  # a name service is asked, if the system has one
        assert seen.refused == seen.reached
        return
    assert len(seen.refused) == 1
    assert seen.refused[0].startswith(told)
    assert seen.reached == seen.refused


def test_the_watcher_sees_children_and_threads(tmp_path: Path) -> None:
    call = "import socket; socket.socket().connect_ex(('192.0.2.7', 80))"
    program = (
        "import subprocess, sys, threading\n"
        f"subprocess.run([sys.executable, '-c', {call!r}], check=True)\n"
        f"thread = threading.Thread(target=exec, args=({call.replace('7', '8')!r},))\n"
        "thread.start(); thread.join()\n"
    )
    seen = python(tmp_path, program)
    assert seen.refused == ["connect inet 192.0.2.7 80", "connect inet 192.0.2.8 80"]


def test_the_watcher_lets_a_program_speak_to_itself(tmp_path: Path) -> None:
    program = (
        "import socket\n"
        "one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))\n"
        "one.bind(('127.0.0.1', 0))\n"
        "two.sendto(b'hello', one.getsockname())\n"
        "assert one.recv(9) == b'hello'\n"
    )
    seen = python(tmp_path, program)
    assert (seen.status, seen.refused) == (0, []), seen.errors
    assert len(seen.reached) == 1
    assert seen.reached[0].startswith("sendto inet 127.0.0.1 ")


def test_the_watcher_passes_the_exit_status_on_and_takes_no_failure_for_silence(
    tmp_path: Path,
) -> None:
    assert python(tmp_path, "raise SystemExit(5)").status == 5
    done = run(
        [sys.executable, str(WATCH), str(tmp_path / "other.json"), str(tmp_path / "nothing")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode not in {0, CANNOT} or "cannot watch" in done.stderr
    assert not (tmp_path / "other.json").exists()


# Are we quiet?


ENGINE = """
import sys, time
from talkcodec.render.engine import open_engine
engine = open_engine(open(sys.argv[1], 'rb').read(), name=sys.argv[2])
for _ in range(3):
    engine.run(engine.signature.zeros())
time.sleep(1)  # reports come from threads of their own
engine.close()
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from onnx import TensorProto, helper, save

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    path = tmp_path / "model.onnx"
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.fixture
def talkative(tmp_path: Path) -> Path:
    """Stands for what pip installs beside OpenVINO: a package that reports when imported."""
    folder = tmp_path / "site"
    (folder / "openvino_telemetry").mkdir(parents=True)
    (folder / "openvino_telemetry" / "__init__.py").write_text(
        "import socket\nsocket.socket().connect_ex(('192.0.2.9', 443))\n"
    )
    return folder


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_reports_to_nobody(
    tmp_path: Path, model: Path, talkative: Path, name: str
) -> None:
    pytest.importorskip(name)
    seen = watch(tmp_path, sys.executable, "-c", ENGINE, str(model), name, path=talkative)
    assert seen.is_quiet(), seen.reached


def test_openvino_imported_otherwise_would_report(tmp_path: Path, talkative: Path) -> None:
    """Else the test above would show nothing."""
    pytest.importorskip("openvino")
    seen = python(tmp_path, "import openvino", path=talkative)
    assert seen.refused == ["connect inet 192.0.2.9 443"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    with VideoWriter(path, Fraction(25)) as writer:
        for frame in islice(builtin_source(1.0), 12):
            writer.write(frame.picture, frame.pts)
    return path


@pytest.mark.parametrize("tracker", ["builtin", "mediapipe"])
def test_encoding_and_decoding_a_file_speak_to_nobody(
    tmp_path: Path, clip: Path, tracker: str
) -> None:
    if tracker == "mediapipe":
        pytest.importorskip("mediapipe")
    coded, back = str(tmp_path / "call.tkc"), str(tmp_path / "out.mp4")
    seen = watch(tmp_path, TALKCODEC, "encode", str(clip), coded, "--tracker", tracker)
    assert seen.is_quiet(), seen.reached
    seen = watch(tmp_path, TALKCODEC, "decode", coded, back)
    assert seen.is_quiet(), seen.reached


def test_a_demo_call_speaks_to_this_machine_only(tmp_path: Path) -> None:
    command = (TALKCODEC, "demo", "--headless", "--seconds", "2", "--out", "demo")
    seen = watch(tmp_path, *command)
    assert seen.status == 0, seen.errors
    assert seen.refused == []
    # It is a real call: datagrams went, all of them to addresses of ours.
    sent = [line.split() for line in seen.reached if not line.endswith(("netlink", "unspecified"))]
    assert len(sent) > 20
    assert {words[1] for words in sent} == {"inet"}
    for _, _, address, port in sent:
        assert not ipaddress.ip_address(address).is_global
        assert int(port) > 1023
