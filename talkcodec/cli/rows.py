# SPDX-License-Identifier: Apache-2.0
"""What calls do on bad paths, over real peers with real pictures: ``python -m talkcodec.cli.rows``.

Each row is a call, or several, with tracker, encoder, peer connections, a relay that is the path,
and generator, in real time. JSON goes to standard output: of each row what was found, what is
aimed at, whether that is met, and what the machine did meanwhile (``machine.py``), so that a row
missed on a busy machine can be told from one that the call missed. A table follows on standard
error. ``talkcodec.rtc.study`` has the same rows without machine and pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from talkcodec.cli import lipsync
from talkcodec.cli.footage import Footage
from talkcodec.cli.machine import Machine
from talkcodec.cli.narrowrows import link_drop, references, traced
from talkcodec.cli.onewayrows import blackout, heavy_loss, latency, steady
from talkcodec.cli.rowstage import Row, Stage
from talkcodec.cli.soak import SoakConfig, soak
from talkcodec.errors import InputError, TalkcodecError
from talkcodec.rtc.figures import ms
from talkcodec.rtc.link import LinkConfig

#: Frames a second of the two-way calls: as many as are wanted, and more.
_OFFERED = (Fraction(25), Fraction(30))

#: Times listed at which something took too long, of a row.
_LISTED = 50

#: What may wait more at the end of a soak than before: items, and bytes in the transport.
_WAITING, _WAITING_BYTES = 8.0, 4000.0


@dataclass(frozen=True)
class Options:
    """``seconds`` of the call at 30 % loss, of which other rows take parts; ``minutes`` of soak.
    ``source``: a video file, None for the portrait. ``traces``: a folder.
    """

    seconds: float = 300.0
    minutes: float = 30.0
    source: str | None = None
    traces: Path = Path("../shared/data/traces")

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600 or not 0 < self.minutes <= 600:
            raise InputError(
                "expected up to an hour of calls and up to 600 minutes of soak, found"
                f" {self.seconds:g} s and {self.minutes:g} minutes"
            )


async def two_way(stage: Stage) -> Row:
    """Both pipelines twice in this process, 256², with sound: at 25 frames a second and at more."""
    runs: dict[str, Any] = {}
    for offered in _OFFERED:
        config = SoakConfig(stage.seconds / len(_OFFERED), LinkConfig(), 0, 0, 0, rate=offered)
        result = await soak(config, footage=stage.footage, stopwatch=stage.machine.stopwatch)
        pictures = [end["pictures"] for end in result["ends"]]
        sent = [end["sent"] for end in result["ends"]]
        runs[str(offered)] = {
            "shown_per_second": [each.get("fresh_per_second", 0.0) for each in pictures],
            "encoded": [each["encoded"] for each in sent],
            "captured": [each["captured"] for each in sent],
            "freezes_over_200ms": [each.get("freezes_over_200ms") for each in pictures],
            "cores_used": result["cores_used"],
        }
    least = {name: min(run["shown_per_second"]) for name, run in runs.items()}
    found = ", ".join(f"{least[name]} pictures/s of {name} offered" for name in runs)
    # Of 25 offered no more than 25 can be shown.
    met = least["25"] >= 0.99 * 25 or least["30"] >= 25
    return Row(f"{found} (the worse way)", "≥ 25 each way", met, runs)


async def lip_sync(stage: Stage) -> Row:
    """How far sound and pictures are apart, in motion mode."""
    found = await lipsync.measure(stage.seconds, LinkConfig(), "motion", stage.machine.stopwatch)
    middle, least, most = (found[f"offset_ms_{name}"] for name in ("median", "min", "max"))
    aim = "≤ 45 ms"
    if middle is None:
        return Row("nothing that jumped and beeped", aim, met=False, figures=found)
    text = f"median {middle}, from {least} to {most} ms of {found['events']} events"
    return Row(text, aim, max(abs(least), abs(most)) <= 45, found)


async def soaked(stage: Stage) -> Row:
    """Everything on, for long, at 5 % loss: what is left behind."""
    config = SoakConfig(stage.seconds, LinkConfig(loss=0.05, rtt=0.05))
    found = await soak(config, say, stage.footage, stage.machine.stopwatch)
    left, growth = found["left_behind"], found["rss_growth"]
    growing = [name for name, halves in found["queues_mean"].items() if _grows(name, halves)]
    text = (
        f"memory grew by {100 * growth:.1f} %; growing queues: {', '.join(growing) or 'none'};"
        f" left behind {left['tasks']} tasks, {left['threads']} threads"
    )
    clean = not growing and not any(left.values()) and found["failed"] is None
    return Row(text, "< 5 %, none, 0, 0", clean and growth < 0.05, found)


def _grows(name: str, halves: list[float]) -> bool:
    spare = _WAITING_BYTES if name.endswith("bytes") else _WAITING
    return halves[-1] > halves[0] + spare


#: Rows by name, with the part of ``--seconds`` that each takes; None: it takes ``--minutes``.
ROWS: dict[str, tuple[float | None, Callable[[Stage], Coroutine[Any, Any, Row]]]] = {
    "steady": (0.2, steady),
    "loss_30": (1.0, heavy_loss),
    "blackout_500ms": (0.4, blackout),
    "references_40k": (0.8, references),
    "latency_g2": (0.2, latency),
    "drop_2M_20k": (0.6, link_drop),
    "trace": (0.4, traced),
    "two_way": (0.4, two_way),
    "lip_sync": (0.2, lip_sync),
    "soak": (None, soaked),
}


def pair_of(folder: Path) -> tuple[Path, Path] | None:
    """Return the first pair of traces ``NAME.up`` and ``NAME.down`` in ``folder``, if any."""
    ups = sorted(folder.glob("*.up")) if folder.is_dir() else []
    pairs = [(up, up.with_suffix(".down")) for up in ups]
    return next((pair for pair in pairs if pair[1].is_file()), None)


def chosen(text: str, *, traces: bool) -> list[str]:
    """Return the rows that ``text`` names, or all that are possible; raises ``InputError``."""
    names = [name for name in text.split(",") if name]
    unknown = set(names) - ROWS.keys()
    if unknown:
        raise InputError(f"expected rows of {', '.join(ROWS)}, found {sorted(unknown)}")
    if "trace" in names and not traces:
        raise InputError("expected NAME.up and NAME.down among the traces, found no pair")
    return names or [name for name in ROWS if traces or name != "trace"]


async def measured(name: str, footage: Footage, options: Options) -> dict[str, Any]:
    """Run one row; return it with what the machine did meanwhile. A call that fails is a miss."""
    part, run = ROWS[name]
    seconds = 60 * options.minutes if part is None else part * options.seconds
    async with Machine() as machine:
        begin = machine.now()
        try:
            row = await run(Stage(footage, machine, seconds, pair_of(options.traces)))
        except TalkcodecError as error:
            row = Row(f"failed: {error}", "a call", met=False, figures={})
    late = [
        {
            "second": round(start - begin, 1),
            "ms": ms(end - start),
            "timer_late_ms": ms(machine.system.worst(start, end)),
            "loop_late_ms": ms(machine.loop.worst(start, end)),
            "cores_waited_for": machine.waiting.cores(start, end),
        }
        for start, end in row.misses[:_LISTED]
    ]
    return {
        "found": row.found,
        "aim": row.aim,
        "met": row.met,
        "seconds": seconds,
        "figures": row.figures,
        "misses": late,
        "machine": machine.report(),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    late, used = "timer late p95, p99, max; loop p99", "cores used, waited for"
    heads = ("row", "found", "aim", "met", late, "drawing p50, p95", used)
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, row in rows.items():
        late, loop = row["machine"]["timer_late_ms"], row["machine"]["loop_late_ms"]
        drawn, waited = row["machine"]["draw_ms"], row["machine"]["cores_waited_for"]
        met = {True: "yes", False: "**no**", None: "–"}[row["met"]]
        timer = f"{late['p95']}, {late['p99']}, {late['max']}; {loop['p99']} ms"
        drawing = f"{drawn['p50']}, {drawn['p95']} ms"
        cores = f"{row['machine']['cores_used']}, {'–' if waited is None else waited}"
        cells = (name, row["found"], row["aim"], met, timer, drawing, cores)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; stdout gets one JSON object, stderr what is going on and a table."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.cli.rows", description=__doc__)
    parser.add_argument("--rows", default="", metavar="ROW,ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="of the longest row")
    parser.add_argument("--minutes", type=float, default=Options.minutes, help="of the soak")
    parser.add_argument("--input", metavar="CLIP", help="a video file instead of the portrait")
    parser.add_argument("--traces", type=Path, default=Options.traces, metavar="FOLDER")
    parser.add_argument("--json", type=Path, help="write the result to this file after each row")
    given = parser.parse_args(arguments)
    try:
        options = Options(given.seconds, given.minutes, given.input, given.traces)
        names = chosen(given.rows, traces=pair_of(options.traces) is not None)
        footage = Footage.load(options.source)
    except InputError as error:
        parser.error(str(error))
    rows: dict[str, dict[str, Any]] = {}
    text = ""
    for name in names:
        rows[name] = asyncio.run(measured(name, footage, options))
        say(f"{name}: {rows[name]['found']}")
        text = json.dumps({"input": options.source or "portrait", "rows": rows}, indent=1) + "\n"
        if given.json is not None:
            given.json.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    say("\n" + table(rows))


def say(line: str) -> None:
    """Tell how it goes."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
