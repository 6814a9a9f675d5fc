# SPDX-License-Identifier: Apache-2.0
"""``talkcodec decode IN.tkc OUT.mp4``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.output import Json, Overwrite, check_output, print_json, progress
from talkcodec.errors import BitstreamError, InputError
from talkcodec.names import DEFAULT_RENDERER, RendererName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from talkcodec.bitstream import TkcReader
    from talkcodec.decoder import DecodedFrame

_SIZES = (16, 4096)


def decode(
    source: Annotated[Path, typer.Argument(metavar="IN.tkc")],
    output: Annotated[Path, typer.Argument(metavar="OUT.mp4")],
    size: Annotated[
        int | None, typer.Option(help="Side of the pictures; by default the stream's.")
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="RGB without loss.")] = False,
    renderer: Annotated[RendererName, typer.Option(help="What draws.")] = DEFAULT_RENDERER,
    mark: Annotated[
        bool, typer.Option("--mark/--no-mark", help="Write 'synthesised' into the pictures.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Decode a .tkc file into a video.

    The video's metadata says that it is synthesised. Of a damaged file the part before the damage
    is written, and the exit status is 1.
    """
    from talkcodec.bitstream import TkcReader
    from talkcodec.media.mark import mark as marked
    from talkcodec.media.writer import VideoWriter

    if size is not None and (size % 2 or not _SIZES[0] <= size <= _SIZES[1]):
        raise InputError(f"expected an even size of {_SIZES[0]} to {_SIZES[1]}, found {size}")
    check_output(output, source, overwrite=overwrite)
    damage = None
    frames = 0
    with source.open("rb") as file, ExitStack() as stack:
        reader = TkcReader(file)
        writer = None
        step = stack.enter_context(progress("decode", None))
        try:
            for frame in _frames(reader, size, renderer):
                if writer is None:
                    rate = reader.header.tick_rate
                    writer = stack.enter_context(
                        VideoWriter(output, rate, lossless=lossless, synthesised=True)
                    )
                writer.write(marked(frame.picture) if mark else frame.picture, frame.tick)
                frames += 1
                step()
        except BitstreamError as error:
            damage = error
    if not frames:
        raise damage or BitstreamError(f"expected frames in {source.name}, found none")
    _report(output, frames, as_json=as_json)
    if damage is not None:
        raise BitstreamError(f"{damage}; wrote the {frames} frames before it")


def _frames(reader: TkcReader, size: int | None, renderer: RendererName) -> Iterator[DecodedFrame]:
    from talkcodec.decoder import DecodedFrame, Decoder

    decoder = Decoder(renderer=renderer)
    for packet in reader:
        for state in decoder.receive(packet.data):
            if state.fresh:
                yield DecodedFrame(decoder.render(state, size), state.tick)


def _report(output: Path, frames: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(output), "frames": frames})
    else:
        typer.echo(f"{output}: {frames} frames")
