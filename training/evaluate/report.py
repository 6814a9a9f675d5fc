# SPDX-License-Identifier: Apache-2.0
"""Tables of an evaluation: ``python -m training.evaluate.report training/results/tracker.json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_COLUMNS = ("all", "lips", "lids", "irises")


def tables(content: Mapping[str, Any]) -> str:
    """Return the tables of ``evaluate``'s result as Markdown."""
    return "\n".join([*_split(content), "", *_conditions(content), "", *_rest(content)])


def _split(content: Mapping[str, Any]) -> Iterator[str]:
    yield "| clips | frames | lost, % | all | lips | lids | irises | lip corr. | blink corr. |"
    yield "|---|---|---|---|---|---|---|---|---|"
    rows = {f"val: {name}": row for name, row in content["split"].items()}
    unsmoothed = content.get("split_unsmoothed", {})
    rows |= {f"val, teacher unsmoothed: {name}": row for name, row in unsmoothed.items()}
    rows |= {f"unseen: {name}": row for name, row in content["unseen"].items()}
    for name, row in rows.items():
        yield f"| {name} | {row['frames']} | {row['lost']:.2f} | {_errors(row)} | {_pair(row)} |"


def _conditions(content: Mapping[str, Any]) -> Iterator[str]:
    ours, teacher = content["conditions"]["builtin"], content["conditions"]["mediapipe"]
    yield (
        "| condition | lost, % | all | lips | lids | irises "
        "| teacher: lost, % | all | lips | lids | irises |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for name, row in ours.items():
        other = teacher[name]
        yield (
            f"| {name} | {row['lost']:.2f} | {_errors(row)} "
            f"| {other['lost']:.2f} | {_errors(other)} |"
        )


def _rest(content: Mapping[str, Any]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    jitter = content["still"]["px_at_256"]
    for name, value in jitter.items():
        yield f"| jitter on still passages, {name} | {value:.3f} px at 256² |"
    for name, row in content["detection"].items():
        cold = row["cold"]
        yield f"| found in single val frames, {name} | {cold['found']:.2f} % of {cold['frames']} |"
        if "empty" in row:
            empty = row["empty"]
            yield (
                f"| faces seen in pictures without, {name} "
                f"| {empty['false']} in {empty['pictures']}, {empty['whole']} of them whole |"
            )
    for name, row in content["speed"].items():
        mean, least = row["mean"], row["least"]
        yield f"| processor time a frame, {name} | {mean:.2f} ms ({least:.2f} at best) |"


def _errors(row: Mapping[str, Any]) -> str:
    return " | ".join(f"{row[c]:.2f}" if c in row else "–" for c in _COLUMNS)


def _pair(row: Mapping[str, Any]) -> str:
    names = ("lip_correlation", "blink_correlation")
    return " | ".join(f"{row[n]:.3f}" if n in row else "–" for n in names)


if __name__ == "__main__":
    sys.stdout.write(tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))) + "\n")
