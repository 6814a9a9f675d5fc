# SPDX-License-Identifier: Apache-2.0
"""Draw how runs went: ``python -m training.curves RUN... --out training/results/curves.png``.

One row a run: what was trained on the left, what was validated on the right, all against the
step, from the ``log.jsonl`` that the loop writes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from talkcodec.errors import InputError

#: Never drawn: not quantities that are learned.
_LEFT_OUT = frozenset({"step", "kind", "lr", "skipped", "samples_per_second", "seconds"})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    draw([(run.name, read(run)) for run in args.runs], args.out)


def read(run: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return points (step, value) by name, for the kinds ``train`` and ``validate``.

    Raises:
        InputError: the run has no log.
    """
    path = run / "log.jsonl"
    if not path.is_file():
        raise InputError(f"expected {path}, found none")
    found: dict[str, dict[str, list[tuple[int, float]]]] = {"train": {}, "validate": {}}
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # a run that is still writing, or was cut off
        record: dict[str, Any] = json.loads(line)
        for name, value in record.items():
            if name not in _LEFT_OUT and not name.endswith("/norm") and value is not None:
                curves = found.setdefault(record["kind"], {})
                curves.setdefault(name, []).append((record["step"], float(value)))
    return found


def draw(runs: list[tuple[str, dict[str, dict[str, list[tuple[int, float]]]]]], out: Path) -> None:
    """Write the curves of ``runs`` as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2 * len(runs)), layout="constrained")
    axes = figure.subplots(len(runs), 2, squeeze=False)
    for row, (name, curves) in zip(axes, runs, strict=True):
        for axis, kind in zip(row, ("train", "validate"), strict=True):
            for label, points in curves[kind].items():
                steps, values = zip(*points, strict=True)
                axis.plot(steps, values, label=label, linewidth=1)
            axis.set_title(f"{name}: {kind}")
            axis.set_xlabel("step")
            if curves[kind]:
                _scale(axis, [value for points in curves[kind].values() for _, value in points])
                axis.legend(fontsize=7)
            axis.grid(alpha=0.3)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90, metadata={"Software": None})


def _scale(axis: Any, values: list[float]) -> None:
    """Use a logarithmic axis, linear about 0 where a correlation or a perfect score is."""
    positive = [value for value in values if value > 0]
    if len(positive) == len(values):
        axis.set_yscale("log")
    elif positive:
        axis.set_yscale("symlog", linthresh=min(positive))


if __name__ == "__main__":
    main()
