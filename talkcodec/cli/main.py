# SPDX-License-Identifier: Apache-2.0
"""``talkcodec``: one verb a command.

Progress goes to standard error, results to standard output, and ``--json`` prints one JSON object
there. Exit status: 0 done; 1 an error, told in one line; 2 a command line that cannot be
understood. Only ``--debug`` shows tracebacks. Modules of commands import what is heavy inside
their functions, so that ``--help`` costs nothing.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from talkcodec.cli.bench import bench
from talkcodec.cli.call import call
from talkcodec.cli.compare import compare
from talkcodec.cli.decode import decode
from talkcodec.cli.demo import demo
from talkcodec.cli.doctor import doctor
from talkcodec.cli.encode import encode
from talkcodec.cli.info import info
from talkcodec.cli.signal import signal
from talkcodec.cli.train import app as train
from talkcodec.cli.version import version
from talkcodec.errors import TalkcodecError, reason


class OneLineErrors(TyperGroup):
    """Turns exceptions into one line and exit status 1, unless ``--debug`` was given."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (TyperException, typer.Exit, typer.Abort):
            raise
        except TalkcodecError as error:
            self._fail(ctx, str(error), error)
        except OSError as error:  # of a file, since who speaks to others tells what was expected
            found = f"{error.filename}: " if error.filename else ""
            message = f"expected files that can be used, found {found}{reason(error)}"
            self._fail(ctx, message, error)
        except Exception as error:  # noqa: BLE001  a bug: still one line, unless somebody debugs
            self._fail(ctx, f"unexpected {type(error).__name__}: {error} (see --debug)", error)

    @staticmethod
    def _fail(ctx: Any, message: str, error: Exception) -> None:
        if ctx.params.get("debug"):
            raise error
        # Parts of it may come from the other side of a call: no control sequences.
        line = "".join(letter if letter.isprintable() else " " for letter in message)
        typer.echo(f"talkcodec: {' '.join(line.split())}", err=True)
        raise typer.Exit(1)


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A video codec for calls that sends a face's motion instead of its pixels.",
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Take the options that come before the command."""
    del debug  # read from the context where errors are caught
    # Matrices here are small: a pool of BLAS threads only spins, and on a busy machine it makes
    # everything tens of times slower. Must be said before NumPy is imported.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


for _command in (demo, call, signal, encode, decode, info, compare, bench, doctor, version):
    app.command()(_command)
app.add_typer(train, name="train")
