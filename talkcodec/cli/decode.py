# SPDX-License-Identifier: Apache-2.0
"""``talkcodec decode IN.tkc OUT.mp4``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcodec.cli.output import (
    Json,
    Overwrite,
    check_output,
    open_stream,
    print_json,
    progress,
    put_in_place,
)
from talkcodec.errors import BitstreamError, InputError
from talkcodec.names import DEFAULT_RENDERER, RendererName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from talkcodec.bitstream import TkcReader
    from talkcodec.cli.faults import Faults
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

    The video's metadata says that it is synthesised. Packets that cannot be used are left out and
    counted; of a damaged file the part before the damage is written. In both cases the exit status
    is 1.
    """
    from talkcodec import weights
    from talkcodec.bitstream import TkcReader
    from talkcodec.cli.faults import Faults
    from talkcodec.media.mark import mark as marked
    from talkcodec.media.writer import VideoWriter

    if size is not None and (size % 2 or not _SIZES[0] <= size <= _SIZES[1]):
        raise InputError(f"expected an even size of {_SIZES[0]} to {_SIZES[1]}, found {size}")
    check_output(output, source, overwrite=overwrite)
    faults = Faults()
    frames = 0
    with open_stream(source) as file, put_in_place(output) as unfinished, ExitStack() as stack:
        reader = TkcReader(file)
        reader.header.require_tables(weights.tables().hash)
        writer = None
        step = stack.enter_context(progress("decode", None))
        try:
            for frame in _frames(reader, size, renderer, faults):
                if writer is None:
                    rate = reader.header.tick_rate
                    writer = stack.enter_context(
                        VideoWriter(unfinished, rate, lossless=lossless, synthesised=True)
                    )
                writer.write(marked(frame.picture) if mark else frame.picture, frame.tick)
                frames += 1
                step()
        except BitstreamError as error:
            faults.damage = error
        if not frames:
            raise faults.error() or BitstreamError(f"expected frames in {source.name}, found none")
    _report(output, frames, faults.refused, as_json=as_json)
    fault = faults.error(f"; wrote the {frames} frames before it")
    if fault is not None:
        raise fault


def _frames(
    reader: TkcReader, size: int | None, renderer: RendererName, faults: Faults
) -> Iterator[DecodedFrame]:
    from talkcodec.decoder import DecodedFrame, Decoder

    decoder = Decoder(renderer=renderer)
    for packet in reader.packets(faults.refuse):
        try:
            states = decoder.receive(packet.data)
        except BitstreamError as error:
            faults.refuse(error)
            continue
        for state in states:
            if state.fresh:
                yield DecodedFrame(decoder.render(state, size), state.tick)


def _report(output: Path, frames: int, refused: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(output), "frames": frames, "refused": refused})
    else:
        typer.echo(f"{output}: {frames} frames")
