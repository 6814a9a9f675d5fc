# SPDX-License-Identifier: Apache-2.0
"""``talkcodec info FILE.tkc``: what is in a file, and what it would cost on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from talkcodec.cli.output import Json, open_stream, print_json
from talkcodec.errors import BitstreamError

if TYPE_CHECKING:
    from fractions import Fraction

    from talkcodec.bitstream import Reference, TkcReader
    from talkcodec.cli.faults import Faults
    from talkcodec.types import Packet


def info(
    source: Annotated[Path, typer.Argument(metavar="FILE.tkc")],
    as_json: Json = False,
) -> None:
    """Show frames, references, bytes and rates of a .tkc file.

    ``wire``: both directions over a data channel, headers and acknowledgements included.
    ``state`` of a reference: all of its message but the picture. Packets that cannot be used are
    left out and counted (``refused``); of a damaged file the part before the damage is told. In
    both cases the exit status is 1. ``header``: the file's magic number, its records' lengths and
    checks, and stream headers. ``unread``: what is damaged, what follows it, and packets refused.
    """
    summary, error = describe(source)
    if as_json:
        print_json(summary)
    else:
        typer.echo(describe_line(summary))
    if error is not None:
        raise error


def describe(source: Path) -> tuple[dict[str, Any], BitstreamError | None]:
    """Return what ``info --json`` prints, and what is wrong with the file, if anything.

    Raises:
        BitstreamError: there is no stream header to begin with, or it names other tables.
    """
    from talkcodec import weights
    from talkcodec.bench.rates import channel_rate
    from talkcodec.bitstream import TkcReader
    from talkcodec.cli.faults import Faults

    faults = Faults()
    packets: list[Packet] = []
    ticks: list[int] = []
    references: list[dict[str, Any]] = []
    with open_stream(source) as file:
        reader = TkcReader(file)
        reader.header.require_tables(weights.tables().hash)
        try:
            _collect(reader, faults, packets, ticks, references)
        except BitstreamError as error:
            faults.damage = error
        total = reader.taken + _rest(file)  # a pipe has no size to ask for
    rate = reader.header.tick_rate
    seconds = _seconds(ticks, rate)
    sizes = {kind: sum(len(p.data) for p in packets if p.kind == kind) for kind in _KINDS}
    header = reader.framing + sizes["header"]
    kinds = [p.kind for p in packets]
    kbps = channel_rate([len(p.data) for p in packets], seconds, kinds) if seconds else None
    return {
        "file": str(source),
        "size": reader.header.size,
        "frames": len(ticks),
        "fps": round(len(ticks) / seconds, 3) if seconds else 0.0,
        "seconds": round(seconds, 3),
        "references": len(references),
        "reference_list": references,
        "bytes": {
            "total": total,
            "references": sizes["reference"],
            "motion": sizes["motion"],
            "header": header,
            "unread": total - header - sizes["reference"] - sizes["motion"],
        },
        "kbps": {
            "payload": round(kbps.payload, 3) if kbps else 0.0,
            "wire": round(kbps.wire, 3) if kbps else 0.0,
        },
        "complete": reader.complete,
        "refused": faults.refused,
    }, faults.error()


def _seconds(ticks: list[int], rate: Fraction) -> float:
    """Return for how long frames at ``ticks`` are shown, the last one as long as the others."""
    if len(ticks) < 2:
        return len(ticks) / float(rate)
    mean = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    return len(ticks) * mean / float(rate)


_KINDS = ("header", "reference", "motion")


def _collect(
    reader: TkcReader,
    faults: Faults,
    packets: list[Packet],
    ticks: list[int],
    references: list[dict[str, Any]],
) -> None:
    """Read ``reader`` to its end or its damage.

    Fills in its packets, the ticks of its frames, what each reference costs, and what is refused.

    Motion is decoded to integers, so that damage is found, but nothing is drawn.
    """
    from talkcodec import weights
    from talkcodec.bitstream import Reference, decode_group

    slots: dict[int, tuple[int, tuple[int, ...]]] = {}
    for packet in reader.packets(faults.refuse):
        if packet.kind == "reference":
            reference = Reference.parse(packet.data)
            slots[reference.slot] = (reference.sequence, reference.state)
            references.append(_account(reference, len(packet.data)))
        elif packet.kind == "motion":
            states = dict(slots.values())
            try:
                group = decode_group(packet.data, states, weights.tables(), packet.tick)
            except BitstreamError as error:
                faults.refuse(error)
                continue
            ticks += group.ticks
        packets.append(packet)


def _rest(file: BinaryIO) -> int:
    """Return how many bytes are left in ``file``, after reading them."""
    return sum(len(piece) for piece in iter(lambda: file.read(1 << 16), b""))


def _account(reference: Reference, size: int) -> dict[str, Any]:
    """Return where the ``size`` bytes of ``reference``'s message went."""
    return {
        "tick": reference.tick,
        "key": reference.key,
        "slot": reference.slot,
        "bytes": size,
        "picture_bytes": len(reference.picture),
        "state_bytes": size - len(reference.picture),
    }


def describe_line(summary: dict[str, Any]) -> str:
    """Return ``summary`` as the lines that people read."""
    sizes, kbps = summary["bytes"], summary["kbps"]
    cut = "" if summary["complete"] else " (cut short)"
    cut += f" (packets refused: {summary['refused']})" if summary["refused"] else ""
    unread = f" + {sizes['unread']} unread" if sizes["unread"] else ""
    told = (
        f"{summary['file']}: {summary['frames']} frames, {summary['seconds']:.2f} s{cut}, "
        f"{summary['fps']:.2f} frames/s, canvas {summary['size']}x{summary['size']}\n"
        f"bytes: {sizes['total']} = {sizes['references']} in {summary['references']} references "
        f"+ {sizes['motion']} motion + {sizes['header']} header{unread}\n"
        f"kbit/s: {kbps['payload']:.2f} payload, {kbps['wire']:.2f} on the wire, both directions"
    )
    return "\n".join([told, *_table(summary["reference_list"])])


def _table(references: list[dict[str, Any]]) -> list[str]:
    """Return one line for each reference below a heading, or nothing where there is none."""
    if not references:
        return []
    row = "{:>9}  {:<9}  {:>4}  {:>6} = {:>7} + {:>5}".format
    lines = [row("reference", "kind", "slot", "bytes", "picture", "state")]
    for one in references:
        kind = "key" if one["key"] else "predicted"
        sizes = one["bytes"], one["picture_bytes"], one["state_bytes"]
        lines.append(row(f"@{one['tick']}", kind, one["slot"], *sizes))
    return lines
