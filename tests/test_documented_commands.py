# SPDX-License-Identifier: Apache-2.0
"""Every command line in the documents exists: command, subcommand, target and each option.

Those of the README that take seconds are run too, on a second of the built-in source.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer

from talkcodec.cli.main import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "training").glob("*.md")),
]


def spans(text: str) -> Iterator[str]:
    """Yield what stands as code in ``text``: lines of fenced and indented blocks, inline spans."""
    fence = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    for block in fence.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ")
    rest = fence.sub("", text)
    for line in rest.splitlines():
        if line.startswith("    "):
            yield line.strip()
    for span in re.findall(r"`([^`]+)`", rest):
        yield " ".join(span.split())


def words(span: str) -> list[str]:
    """Return a command line's words up to a comment, a pipe or a redirection."""
    try:
        found = shlex.split(span, comments=True)
    except ValueError:  # a quotation mark in a formula
        return []
    while found and re.fullmatch(r"[A-Z_]+=\S*", found[0]):
        del found[0]
    ends = [index for index, word in enumerate(found) if word in ("|", "&&", ";", "&", ">")]
    return found[: min(ends, default=len(found))]


def commands(path: Path) -> list[list[str]]:
    """Return the command lines of a document that are ours, as words."""
    found = []
    for span in spans(path.read_text(encoding="utf-8")):
        line = words(span)
        if line:
            line[0] = line[0].removeprefix(".venv/bin/")
        ours = line[:1] in (["talkcodec"], ["make"]) or line[:2] == ["python", "-m"]
        if ours and len(line) > 1:
            found.append(line)
    return found


def check_talkcodec(arguments: list[str]) -> None:
    """Parse ``talkcodec`` ``arguments`` as the command would; values are not looked at."""
    command = talkcodec()
    context = None
    while True:
        context = command.context_class(command, parent=context)
        _, rest, _ = command.make_parser(context).parse_args(list(arguments))
        if not hasattr(command, "commands"):
            assert not rest, f"unexpected {' '.join(rest)}"
            return
        if not rest:
            return
        assert rest[0] in command.commands, f"no command {rest[0]}"
        command, arguments = command.commands[rest[0]], rest[1:]


class Strict(argparse.ArgumentParser):
    """Raises what argparse would print."""

    def error(self, message: str) -> NoReturn:
        raise AssertionError(message)


def source_of(name: str) -> str:
    """Return the source of a module that is a command."""
    base = ROOT.joinpath(*name.split("."))
    path = base / "__main__.py" if base.is_dir() else base.with_suffix(".py")
    assert path.is_file(), f"no module {name}"
    source = path.read_text(encoding="utf-8")
    assert '__name__ == "__main__"' in source, f"{name} is no command"
    return source


def calls(tree: ast.Module, method: str) -> Iterator[tuple[list[str], dict[str, ast.expr]]]:
    """Yield the strings and the keywords of each call of ``method``, once a turn of its loop."""
    turns: dict[int, list[str]] = {}
    for loop in ast.walk(tree):
        if isinstance(loop, ast.For) and isinstance(loop.iter, ast.Tuple):
            values = [str(item.value) for item in loop.iter.elts if isinstance(item, ast.Constant)]
            turns |= {id(node): values for node in ast.walk(loop)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == method:
            keywords = {item.arg or "**": item.value for item in node.keywords}
            if isinstance(node.args[0], ast.JoinedStr):
                yield from (([f"--{turn}"], keywords) for turn in turns.get(id(node), []))
            else:
                yield [str(n.value) for n in node.args if isinstance(n, ast.Constant)], keywords


def choices(node: ast.expr | None, tree: ast.Module) -> set[str]:
    """Return the words of ``choices``: a literal, or the sorted keys of a module's dictionary."""
    if isinstance(node, ast.Tuple | ast.List):
        return {str(item.value) for item in node.elts if isinstance(item, ast.Constant)}
    for one in tree.body:
        if not isinstance(one, ast.AnnAssign) or node is None:
            continue
        if ast.unparse(node) == f"sorted({ast.unparse(one.target)})":
            keys = one.value.keys if isinstance(one.value, ast.Dict) else []
            return {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    return set()


@cache
def module_parser(name: str) -> tuple[Strict, set[str] | None]:
    """Return a parser of the options that module ``name`` adds, and its choice of first words.

    Read from its source, for importing all of them takes long. An empty choice is any word, None
    is no word at all.
    """
    source = source_of(name)
    tree = ast.parse(source)
    parser = Strict(allow_abbrev=False)
    first: set[str] | None = set() if "sys.argv[" in source else None
    for names, keywords in calls(tree, "add_argument"):
        if not names[0].startswith("-"):
            first = first or choices(keywords.get("choices"), tree)
            continue
        extra: dict[str, Any] = {
            key: value.value
            for key, value in keywords.items()
            if key in ("action", "nargs") and isinstance(value, ast.Constant)
        }
        if "action" in keywords and "action" not in extra:
            extra = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(*names, **extra)
    for names, _ in calls(tree, "add_parser"):
        first = (first or set()) | set(names)
    return parser, first


@cache
def talkcodec() -> Any:
    return typer.main.get_command(app)


def check_module(name: str, arguments: list[str]) -> None:
    """Check the options of ``python -m name``, and that it takes other words if there are some."""
    parser, first = module_parser(name)
    _, rest = parser.parse_known_args(arguments)
    unknown = [word for word in rest if word.startswith("--")]
    assert not unknown, f"no option {unknown[0]}"
    if rest:
        assert first is not None, f"unexpected {rest[0]}"
        assert not first or rest[0] in first, f"expected one of {sorted(first)}, found {rest[0]}"


def check_make(arguments: list[str]) -> None:
    """Let make say what it would do."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in arguments:
        name, given, _ = word.partition("=")
        known = rf"^{name}\s*[?:]?=" if given else rf"^{name}:"
        assert name.startswith("-") or re.search(known, makefile, re.MULTILINE), f"no {name}"
    make = shutil.which("make")
    if make is None:
        return
    done = subprocess.run(
        [make, "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def check(line: list[str]) -> None:
    """Raise something that says what is wrong with a command line."""
    if line[0] == "talkcodec":
        check_talkcodec(line[1:])
    elif line[0] == "make":
        check_make(line[1:])
    else:
        check_module(line[2], line[3:])
    for word in line:
        if word.startswith("training/configs/"):
            assert (ROOT / word).is_file(), f"no {word}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_documented_command_exists(path: Path) -> None:
    problems = []
    for line in commands(path):
        try:
            check(line)
        except Exception as error:  # noqa: BLE001  whichever parser it was
            problems.append(f"{shlex.join(line)}: {error or repr(error)}")
    assert not problems, "\n".join(problems)


@cache
def all_options() -> set[str]:
    """Return every option of every command of talkcodec, and of every documented module."""
    found: set[str] = set()
    waiting = [talkcodec()]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for parameter in command.params:
            found |= {*parameter.opts, *parameter.secondary_opts}
    for line in [line for path in DOCUMENTS for line in commands(path)]:
        if line[0] == "python":
            found |= set(module_parser(line[2])[0]._option_string_actions)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_options_that_stand_alone_exist(path: Path) -> None:
    lines = [words(span) for span in spans(path.read_text(encoding="utf-8"))]
    alone = {line[0].partition("=")[0] for line in lines if line and line[0].startswith("--")}
    assert alone <= all_options()


@pytest.mark.parametrize(
    "line",
    [
        "A=1 .venv/bin/talkcodec demo --link loss=0.3 | tee log  # or so",
        "python -m talkcodec.cli.soak --mutes 3 --no-events",
        "python -m training.study layers --clips 5",
        "make -j2 lint types PYTHON=python3.12",
    ],
)
def test_what_exists_is_let_pass(line: str) -> None:
    found = words(line)
    check([found[0].removeprefix(".venv/bin/"), *found[1:]])


def test_the_documents_have_commands_to_check() -> None:
    counts = {path.name: len(commands(path)) for path in DOCUMENTS}
    assert counts["README.md"] >= 30
    assert counts["CONTRIBUTING.md"] >= 7
    assert sum(counts.values()) >= 80


@pytest.mark.parametrize(
    "line",
    [
        "talkcodec demon",
        "talkcodec demo --linc loss=0.3",
        "talkcodec info a.tkc b.tkc",
        "talkcodec train trackr --config x.toml",
        "talkcodec train tracker --config training/configs/none.toml",
        "talkcodec encode in.mp4 out.tkc --size",
        "python -m training.nothing",
        "python -m training.losses",
        "python -m training.coded store --restored",
        "python -m training.study colours",
        "python -m training.fit_motion extra",
        "python -m talkcodec.cli.soak --mute 3",
        "make nothing",
        "make test COLOUR=1",
    ],
)
def test_what_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"."):
        check(words(line))


#: Lines of the README that are run, in this order in one folder: the line, and what makes it small.
RUN = {
    "talkcodec encode in.mp4 call.tkc": "",
    "talkcodec info call.tkc": "",
    "talkcodec decode call.tkc out.mp4": "",
    "talkcodec doctor": "",
    "talkcodec encode IN OUT --tracker mediapipe": "",
    "talkcodec demo --input FILE --link loss=0.3,rtt=50": "--headless --seconds 1",
    "talkcodec demo --link loss=0.3,burst=3,rtt=50": "--headless --seconds 1 --input FILE",
    "talkcodec bench --json": "--seconds 1 --size 256",
    "python -m talkcodec.bench.report training/results/val.json": "",
}
#: What stands for a file in the README, and the files of the folder.
FILES = {"IN": "in.mp4", "FILE": "in.mp4", "OUT": "out.tkc"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with ``in.mp4``, a second of the built-in source, and the results."""
    from talkcodec.media.sources import builtin_source
    from talkcodec.media.writer import VideoWriter

    with VideoWriter(tmp_path / "in.mp4", Fraction(25)) as writer:
        for frame in builtin_source(1.0):
            writer.write(frame.picture, frame.pts)
    (tmp_path / "training").symlink_to(ROOT / "training")
    return tmp_path


def test_cheap_commands_of_the_readme_work(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line, small in RUN.items():
        if "mediapipe" in line and find_spec("mediapipe") is None:
            continue
        command = [FILES.get(word, word) for word in (*line.split(), *small.split())]
        if command[0] == "talkcodec":
            command[:1] = ["python", "-c", "from talkcodec.cli.main import app; app()"]
        command[0] = sys.executable
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout, line
        assert "Traceback" not in done.stderr, line


def test_what_is_run_is_what_the_readme_says() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    documented = [shlex.join(line) for line in commands(ROOT / "README.md")]
    assert set(RUN) <= set(documented)
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        assert {line.removeprefix("$ ") for line in block.splitlines()} <= set(RUN)
