# SPDX-License-Identifier: Apache-2.0
"""Bytes a frame against landmark error, for numbers of components and step sizes.

``python -m training.motion_rd --labels runs/labels`` prints the table that the shipped choice
was made from. Tables are fitted on train clips for every choice; rates are what val clips cost
with them, packet header included, for groups of 3 frames; errors are against the tracker's own,
unsmoothed landmarks, in % of the inter-ocular distance.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import numpy as np

from talkcodec.entropy.build import build_table
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS, inter_ocular
from talkcodec.motion.quantise import quantise_group
from talkcodec.motion.shape import ShapeModel
from talkcodec.motion.smooth import OneEuroFilter
from talkcodec.types import F64, I32
from training.corpus import DATA, clips, load_labels
from training.fit_motion import build_model, fit_bases

GROUP = 3
HEADER_BYTES = 4
Track = tuple[Fraction, F64]


class Row(TypedDict):
    """One line of the table; errors in % of the inter-ocular distance."""

    components: int
    step: float
    smoothed: bool
    bytes_per_frame: float
    all: float
    lips: float
    eyelids: float
    irises: float


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    mean, identity, expression = fit_bases(args.data, args.labels)
    train = tracks(args.data, args.labels, "train", step=6, frames=90)
    val = tracks(args.data, args.labels, "val", seconds=4)
    rows = []
    grid = [(k, s, True) for k in (12, 16, 20, 24, 32) for s in (0.3, 0.4, 0.6)]
    for count, step, smoothed in [*grid, (24, 0.8, True), (24, 0.4, False)]:
        model = build_model(mean, identity, expression, count, step)
        row = measure(model, train, val, step, smoothed=smoothed)
        rows.append(row)
        print(
            f"| {count} | {step} | {'yes' if smoothed else 'no'} | {row['bytes_per_frame']:.2f} |"
            f" {row['all']:.2f} | {row['lips']:.2f} | {row['eyelids']:.2f} | {row['irises']:.2f} |",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=2) + "\n")


def tracks(
    data: Path, labels: Path, split: str, *, step: int = 1, seconds: float = 0, frames: int = 10_000
) -> list[Track]:
    """Return rate and landmarks (T, 478, 3) of every ``step``-th clip."""
    if split == "train":
        chosen = clips(data, "train", permissive=True, seconds=seconds)
    else:
        chosen = clips(data, "val", seconds=seconds)
    loaded = [(clip.rate, load_labels(labels, clip)) for clip in chosen[::step]]
    return [(rate, label.on_canvas()[label.found][:frames]) for rate, label in loaded]


def measure(
    model: ShapeModel, train: list[Track], val: list[Track], step: float, *, smoothed: bool
) -> Row:
    """Fit tables on ``train``; return rate and errors on ``val``, each clip counting alike."""
    samples = [code(model, *track, smoothed=smoothed) for track in train]
    intra = [build_table(column) for column in np.concatenate([s[0] for s in samples]).T]
    inter = [build_table(column) for column in np.concatenate([s[1] for s in samples]).T]
    rates, errors = [], []
    for rate, landmarks in val:
        first, others, states, neutral = code(model, rate, landmarks, smoothed=smoothed)
        bits = sum(t.bits(v) for t, c in zip(intra, first.T, strict=True) for v in c.tolist())
        bits += sum(t.bits(v) for t, c in zip(inter, others.T, strict=True) for v in c.tolist())
        rates.append((bits / 8 + len(first) * HEADER_BYTES) / len(states))
        shown = np.stack([model.expand(neutral, s * model.steps) for s in states])
        distance = np.linalg.norm((shown - landmarks)[..., :2], axis=-1)
        percent = 100 * distance / inter_ocular(landmarks)[:, None]
        parts = [percent[:, list(part)].mean() for part in (LIPS, EYELIDS, IRISES)]
        errors.append([percent.mean(), *parts])
    mean = np.mean(errors, axis=0)
    return Row(
        components=len(model.expression),
        step=step,
        smoothed=smoothed,
        bytes_per_frame=float(np.mean(rates)),
        all=float(mean[0]),
        lips=float(mean[1]),
        eyelids=float(mean[2]),
        irises=float(mean[3]),
    )


def code(
    model: ShapeModel, rate: Fraction, landmarks: F64, *, smoothed: bool
) -> tuple[I32, I32, I32, F64]:
    """Return intra residuals, inter residuals, states and the neutral shape of a track."""
    neutral = neutral_shape(model, fit_identity(model, landmarks[0]))
    smoother = OneEuroFilter()
    rows = [fit_state(model, neutral, frame) / model.steps for frame in landmarks]
    if smoothed:
        rows = [smoother(row, float(1 / rate)) for row in rows]
    values = np.stack(rows)
    reference = np.rint(values[0]).astype(np.int32)
    coded, first, others = [], [], []
    for start in range(0, len(values), GROUP):
        group = quantise_group(values[start : start + GROUP], reference)
        coded.append(group)
        first.append(group[0] - reference)
        others.append(np.diff(group, axis=0))
    return np.stack(first), np.concatenate(others), np.concatenate(coded), neutral


if __name__ == "__main__":
    main()
