# SPDX-License-Identifier: Apache-2.0
"""``talkcodec call``: one end of a call, by any way of meeting."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from talkcodec.cli.output import Json, call_packages, print_json, read_secret
from talkcodec.cli.reports import Group, Stats, StatsPort, check_group, open_reports
from talkcodec.errors import InputError

if TYPE_CHECKING:
    from talkcodec.cli.calling import Plan
    from talkcodec.rtc.telemetry import Sink

MAX_SECONDS = 24 * 3600.0
INTERRUPTED = 130

#: Frames a packet.
GROUP = 3

#: Bounds of ``--max-rate``, kbit/s.
LEAST_RATE, MOST_RATE = 10, 2000


# The options, in the order of ``--help``.
Way = Annotated[
    str,
    typer.Option(
        help="paste, ws:// or wss:// of a server, http(s):// to POST to, listen:HOST:PORT."
    ),
]
Room = Annotated[
    str | None, typer.Option(help="Code of the server's room to join; else one is opened.")
]
Answers = Annotated[bool, typer.Option("--answer", help="paste: wait for their line.")]
Input = Annotated[str, typer.Option(help="camera, pattern (a moving portrait), none, or a file.")]
Output = Annotated[
    str | None, typer.Option(help="window, none, camera[:DEVICE] (a virtual one), or a file.")
]
SoundInput = Annotated[
    str, typer.Option(help="microphone, none, a file; auto: what belongs to --input.")
]
SoundOutput = Annotated[
    str, typer.Option(help="speaker, none, a file; auto: a speaker if there is one.")
]
Denoise = Annotated[bool, typer.Option("--denoise", help="Suppress noise.")]
Seconds = Annotated[float | None, typer.Option(help="End after so many.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for the other side.")]
Stun = Annotated[list[str] | None, typer.Option(help="stun:HOST[:PORT].")]
Turn = Annotated[
    str | None, typer.Option(help="turn:HOST[:PORT][?transport=tcp], turns:HOST[:PORT].")
]
TurnUser = Annotated[str | None, typer.Option(help="Its user.")]
TurnPassword = Annotated[
    Path | None, typer.Option(help="Its password, in a file; or TALKCODEC_TURN_PASSWORD.")
]
Token = Annotated[Path | None, typer.Option(help="Bearer token of the server; or TALKCODEC_TOKEN.")]
Authority = Annotated[
    Path | None, typer.Option(help="Certificates to trust instead of the system's, PEM.")
]
MaxRate = Annotated[
    float | None,
    typer.Option(help="kbit/s that may be sent, answers to it included; else what the path takes."),
]
Marks = Annotated[
    bool, typer.Option("--mark/--no-mark", help="Say 'synthesised' in such pictures.")
]


def call(
    signaling: Way = "paste",
    room: Room = None,
    answer: Answers = False,
    input: Input = "camera",  # noqa: A002  the option's name
    output: Output = None,
    sound_input: SoundInput = "auto",
    sound_output: SoundOutput = "auto",
    denoise: Denoise = False,
    seconds: Seconds = None,
    wait: Wait = 900.0,
    stun: Stun = None,
    turn: Turn = None,
    turn_user: TurnUser = None,
    turn_password_file: TurnPassword = None,
    token_file: Token = None,
    tls_ca: Authority = None,
    mark: Marks = True,
    group: Group = GROUP,
    max_rate: MaxRate = None,
    stats: Stats = None,
    stats_port: StatsPort = None,
    web: Annotated[
        bool, typer.Option("--web", help="Serve a page to talk in, to a browser of this machine.")
    ] = False,
    web_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8767,
    as_json: Json = False,
) -> None:
    """Call somebody. Without --stun and --turn nobody but server and peer is contacted.

    Read the three words to each other: if they differ, somebody sits between you. Ctrl-C ends the
    call. Exit status 0: there was a call; 1: there was none; 130: interrupted before.
    """
    _check_times(seconds=seconds, wait=wait)
    most = _most(max_rate)
    check_group(group)
    if web and ((stats, stats_port, most) != (None, None, None) or group != GROUP):
        raise InputError("expected --web without --stats, --stats-port, --group and --max-rate")
    with call_packages():
        import aiohttp  # noqa: F401  told of here, in one line, and not in the middle of a call
        import mnemonic  # noqa: F401

    from talkcodec.cli.calling import Plan
    from talkcodec.cli.callmedia import MediaNames, default_output
    from talkcodec.rtc.signaling.choose import MeetingPlace, ice_servers

    password = _secret(turn_password_file, "TALKCODEC_TURN_PASSWORD")
    token = _secret(token_file, "TALKCODEC_TOKEN")
    place = MeetingPlace(signaling, room, answer, token, tls_ca)
    ice = ice_servers(stun or [], turn, turn_user, password)
    if web:
        from talkcodec.cli.web import serve
        from talkcodec.web.caller import CallPlan

        serve(CallPlan(place, ice, mark, wait), web_port, _tell)
        return
    media = MediaNames(input, output or default_output(), sound_input, sound_output, denoise)
    plan = Plan(place, media, ice, seconds, wait, mark, group, most)
    result = _take_part(plan, open_reports(stats, stats_port, _tell))
    print_json(result) if as_json else _print(result)


def _take_part(plan: Plan, sinks: list[Sink]) -> dict[str, Any]:
    import asyncio

    from talkcodec.cli.calling import Interrupted, take_part

    try:
        return asyncio.run(take_part(plan, _tell, sinks))
    except Interrupted as error:
        _tell(f"talkcodec: {error}")
        raise typer.Exit(INTERRUPTED) from None


def _check_times(**times: float | None) -> None:
    for name, value in times.items():
        if value is not None and not 0 < value <= MAX_SECONDS:
            raise InputError(f"expected --{name} from 0 to {MAX_SECONDS:g}, found {value:g}")


def _most(rate: float | None) -> float | None:
    """Return ``--max-rate``, kbit/s, in bits per second."""
    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        raise InputError(f"expected --max-rate {LEAST_RATE} to {MOST_RATE}, found {rate:g}")
    return None if rate is None else 1000 * rate


def _secret(path: Path | None, variable: str) -> str | None:
    """Return what a file or the environment holds."""
    return read_secret(path) if path is not None else os.environ.get(variable)


def _print(result: dict[str, Any]) -> None:
    typer.echo(f"call      {result['seconds']:.1f} s, {result['ended']}")
    typer.echo(f"words     {result['words']}")
    frames = f"{result['frames_sent']} sent, {result['frames_shown']} shown"
    typer.echo(f"frames    {frames}, {result['freezes_over_200ms']} freezes over 200 ms")
    sent, received = result["payload_kbps_sent"], result["payload_kbps_received"]
    typer.echo(f"payload   {sent:.2f} kbit/s sent, {received:.2f} received")
    typer.echo(f"made      {result['connections']} connections")


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
