# SPDX-License-Identifier: Apache-2.0
"""``talkcodec signal``: a rendezvous server, at which two ends of a call find each other."""

from __future__ import annotations

import asyncio
import logging
import signal as signals
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from talkcodec.cli.output import call_packages, read_secret
from talkcodec.errors import InputError

PORT = 8765


def signal(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = PORT,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token that clients must show.")
    ] = None,
    rooms: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rooms at once.")] = 1000,
    connections: Annotated[int, typer.Option(min=2, max=1_000_000, help="At once.")] = 2000,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell how many there are.")] = False,
) -> None:
    """Let calls meet: clients open rooms and join them by their codes. Ends with Ctrl-C.

    It carries session descriptions and no media, stores nothing and logs no content.
    """
    if (tls_cert is None) != (tls_key is None):
        raise InputError("expected --tls-cert and --tls-key together, found one of them")
    if verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    with call_packages():
        from talkcodec.rtc.signaling.gate import GateLimits
        from talkcodec.rtc.signaling.listening import is_loopback, server_tls
        from talkcodec.rtc.signaling.rooms import RoomLimits
        from talkcodec.rtc.signaling.server import RendezvousServer, ServerConfig

    tls = server_tls(tls_cert, tls_key) if tls_cert and tls_key else None
    token = read_secret(token_file) if token_file else None
    config = ServerConfig(
        rooms=RoomLimits(rooms=rooms), gate=GateLimits(connections=connections), token=token
    )

    async def run() -> None:
        server = await RendezvousServer.open(host, port, tls=tls, config=config)
        place = f"[{host}]" if ":" in host else host
        typer.echo(
            f"listening at {'wss' if tls else 'ws'}://{place}:{server.listening.port}", err=True
        )
        if tls is None and not is_loopback(host):
            typer.echo("without TLS whoever is on the way can read room codes", err=True)
        try:
            await interrupted()
        finally:
            await server.close()

    asyncio.run(run())


async def interrupted() -> None:
    """Wait for Ctrl-C or a request to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signals.SIGINT, signals.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C cancels the task instead
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
