# SPDX-License-Identifier: Apache-2.0
"""``talkcodec version``."""

from __future__ import annotations

import typer

from talkcodec import __version__
from talkcodec.cli.output import Json, print_json


def version(as_json: Json = False) -> None:
    """Show the versions of the program, the format and its tables."""
    from talkcodec import weights
    from talkcodec.bitstream.wire import VERSION

    tables = weights.tables().hash.hex()
    if as_json:
        print_json({"version": __version__, "format": VERSION, "tables": tables})
    else:
        typer.echo(f"talkcodec {__version__}, format {VERSION}, tables {tables}")
