# SPDX-License-Identifier: Apache-2.0
"""The project as a whole: examples, lazy imports, house limits."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = [
    path
    for package in ("talkcodec", "sender", "receiver", "training", "examples", "tests")
    for path in sorted((ROOT / package).rglob("*.py"))
]
HEAVY = ("torch", "cv2", "aiortc", "mediapipe", "av", "numpy", "scipy", "matplotlib")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``in.mp4``: what the examples start from."""
    from talkcodec.media.sources import builtin_source
    from talkcodec.media.writer import VideoWriter

    folder = tmp_path_factory.mktemp("readme")
    with VideoWriter(folder / "in.mp4", Fraction(25)) as writer:
        for frame in builtin_source(0.6):
            writer.write(frame.picture, frame.pts)
    return folder


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from talkcodec.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as done:\n    assert not done.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = run(sys.executable, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for command in ("demo", "encode", "decode", "info", "compare", "bench", "doctor"):
        assert re.search(rf"\b{command}\b", done.stdout), command


def test_the_live_path_never_imports_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "import talkcodec.encoder, talkcodec.decoder, talkcodec.rtc, sender, receiver\n"
        "from talkcodec.face import open_tracker\n"
        "open_tracker().close()\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = run(sys.executable, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_encode_and_decode_examples_work(folder: Path) -> None:
    encoded = run(sys.executable, ROOT / "examples/encode.py", "in.mp4", "x.tkc", cwd=folder)
    assert (encoded.returncode, encoded.stderr) == (0, "")
    decoded = run(sys.executable, ROOT / "examples/decode.py", "x.tkc", "x.mp4", cwd=folder)
    assert (decoded.returncode, decoded.stderr) == (0, "")
    from talkcodec.media.reader import VideoReader

    with VideoReader(folder / "x.mp4") as reader:
        assert len(list(reader)) == 15


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 40


def test_files_and_functions_stay_short_and_carry_their_licence() -> None:
    for path in CODE:
        text = path.read_text()
        name = path.relative_to(ROOT)
        assert not text or text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), name
        assert len(text.splitlines()) <= 500, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 60, f"{name}: {node.name} has {length} lines"


def test_test_files_have_unique_names() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_locks_are_pinned_and_hold_one_opencv_and_no_cuda() -> None:
    pins = [
        line
        for file in sorted((ROOT / "requirements").glob("*.txt"))
        for line in file.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.match(r"[a-z0-9-]+==\S+( ; .*)?$", pin) for pin in pins)
    assert [pin for pin in pins if pin.startswith("opencv")] == ["opencv-python==5.0.0.93"]
    assert not [pin for pin in pins if pin.startswith(("nvidia", "cuda", "triton"))]


def test_what_trains_has_what_measures_and_draws() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "talkcodec[metrics]" in project["optional-dependencies"]["train"]


def test_commands_offer_the_trackers_that_open() -> None:
    from talkcodec import face, names

    assert names.DEFAULT_TRACKER == face.DEFAULT_TRACKER
    for path in sorted((ROOT / "talkcodec" / "cli").glob("*.py")):
        literals = [
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant)
        ]
        assert names.DEFAULT_TRACKER not in literals, path.name


def test_nothing_private_to_one_machine_is_committed() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|tmp|root|home)/")
    for path in CODE:
        if path != Path(__file__):
            assert not pattern.search(path.read_text()), path.relative_to(ROOT)
