# SPDX-License-Identifier: Apache-2.0
"""``talkcodec encode IN OUT.tkc``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from talkcodec.cli.info import describe, describe_line
from talkcodec.cli.output import (
    Json,
    Overwrite,
    check_output,
    print_json,
    progress,
    put_in_place,
)
from talkcodec.errors import InputError
from talkcodec.names import DEFAULT_TRACKER, TrackerName

if TYPE_CHECKING:
    from talkcodec.encoder import EncoderConfig
    from talkcodec.media.reader import VideoReader

_TRACKERS = "Face tracker: " + ", ".join(get_args(TrackerName))


def encode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Any video file.")],
    output: Annotated[Path, typer.Argument(metavar="OUT.tkc")],
    size: Annotated[int, typer.Option(help="Side of the canvas: 256 or 512.")] = 256,
    group: Annotated[int, typer.Option(min=1, max=4, help="Frames in a packet.")] = 3,
    quantiser: Annotated[int, typer.Option(min=0, max=3, help="0 is finest.")] = 0,
    tracker: Annotated[str, typer.Option(help=_TRACKERS)] = DEFAULT_TRACKER,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Encode a video of one person into a .tkc file.

    ``dropped``: frames left out, since a stream has no ticks as fine as the times between them.
    """
    from talkcodec.bitstream.header import SIZES
    from talkcodec.encoder import EncoderConfig
    from talkcodec.media.reader import VideoReader

    if size not in SIZES:
        raise InputError(f"expected a size of {SIZES[0]} or {SIZES[1]}, found {size}")
    check_output(output, source, overwrite=overwrite)
    with VideoReader(source) as reader, put_in_place(output) as unfinished:
        config = EncoderConfig(
            size=size, tick_rate=reader.info.tick_rate, group=group, quantiser=quantiser
        )
        damage, dropped = _encode(reader, unfinished, config, tracker)
    summary, _ = describe(output)
    if as_json:
        print_json({**summary, "dropped": dropped})
    else:
        typer.echo(describe_line(summary))
        if dropped:
            typer.echo(f"dropped: {dropped} frames, no later than the one before", err=True)
    if damage is not None:
        raise damage


def _encode(
    reader: VideoReader, output: Path, config: EncoderConfig, tracker: str
) -> tuple[InputError | None, int]:
    """Write every frame that can be read.

    Returns what ended the input early, if anything did, and how many frames had to be left out.
    """
    from talkcodec.bitstream import TkcWriter
    from talkcodec.encoder import Encoder
    from talkcodec.face import open_tracker

    damage = None
    seen = 0
    kinds = set()
    with closing(open_tracker(tracker)) as faces, output.open("wb") as file:
        encoder = Encoder(config, faces)
        with TkcWriter(file) as writer, progress("encode", reader.info.frames) as step:
            writer.write(encoder.header())
            try:
                for frame in reader:
                    seen += 1
                    for packet in encoder.encode(frame):
                        kinds.add(packet.kind)
                        writer.write(packet)
                    step()
            except InputError as error:
                damage = error
            for packet in encoder.flush():
                kinds.add(packet.kind)
                writer.write(packet)
    if "motion" not in kinds:
        raise damage or InputError(f"expected a face in the video, found none in {seen} frames")
    return damage, reader.dropped + encoder.dropped
