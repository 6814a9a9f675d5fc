# SPDX-License-Identifier: Apache-2.0
"""What commands share: results, progress, and not overwriting files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from talkcodec.errors import InputError, MissingDependency, reason

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Overwrite = Annotated[bool, typer.Option("--yes", "-y", help="Overwrite the output.")]


def print_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object to standard output."""
    typer.echo(json.dumps(result, indent=2))


def check_output(output: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse to write where that would lose something.

    Raises:
        InputError: ``output`` exists and ``overwrite`` is false, it is a folder or ``source``
            itself, or its folder does not exist.
    """
    if output.is_dir():
        raise InputError(f"expected a file to write, found the folder {output}")
    if output.exists() and source.exists() and output.samefile(source):
        raise InputError(f"expected an output other than the input, found {output}")
    if output.exists() and not overwrite:
        raise InputError(f"expected a new file, found {output}: -y overwrites it")
    if not output.parent.is_dir():
        raise InputError(f"expected an existing folder, found {output.parent}")


def open_stream(source: Path) -> BinaryIO:
    """Open a .tkc file, or a pipe that brings one; close it at the end.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        return source.open("rb")
    except OSError as error:
        raise InputError(f"expected a .tkc file, found {source}: {reason(error)}") from None


@contextmanager
def put_in_place(output: Path) -> Iterator[Path]:
    """Yield a file beside ``output`` to write to, which takes its place when the block ends well.

    Otherwise, an interrupt included, it is removed: what stands under the final name is whole, and
    what stood there before is lost to nothing that failed. A pipe or device is written as it is.
    """
    final = output.resolve()  # through a link: the file is replaced, not the link
    if final.exists() and not final.is_file():
        yield output
        return
    unfinished = final.with_name(f".{final.stem}.{os.getpid()}{final.suffix}")
    try:
        yield unfinished
        unfinished.replace(final)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error where that is a terminal; yields what to call for each step."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total or None)
        yield lambda: bar.advance(task)


@contextmanager
def train_packages() -> Iterator[None]:
    """Tell in one line, around imports, that the packages of training are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"expected the packages of talkcodec[train], found no {error.name}"
        ) from None


@contextmanager
def call_packages() -> Iterator[None]:
    """Tell in one line, around imports, that the packages of calling are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"expected the packages of talkcodec[call], found no {error.name}"
        ) from None


def read_secret(path: Path) -> str:
    """Return the token or password that the first line of a file holds.

    Secrets come from files or the environment: a command line is there for everybody to read.

    Raises:
        InputError: there is no such file, or nothing in it.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(1024).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected a file with a secret, found {path}: {reason(error)}") from None
    if not line or not line.isprintable():
        raise InputError(f"expected a secret in the first line of {path}, found none")
    return line
