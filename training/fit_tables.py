# SPDX-License-Identifier: Apache-2.0
"""Fit the integer frequency tables: ``python -m training.fit_tables --labels runs/labels``.

Runs the real encoder over permissively licensed train clips and counts the symbols it codes,
for every quantiser and context, and for each mode of the residual layer. Then writes
``tables.safetensors`` and the manifest of everything in ``talkcodec/weights``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.analysis import LayerConfig
from talkcodec.bitstream import MULTIPLIERS, to_quantiser
from talkcodec.encoder import Encoder, EncoderConfig, GroupTrace
from talkcodec.entropy import TableSet
from talkcodec.entropy.build import build_table, laplace_table
from talkcodec.entropy.table import FrequencyTable
from talkcodec.errors import WeightsError
from talkcodec.motion.quantise import quantise_group
from talkcodec.render.layer import value_count
from talkcodec.types import Frame
from training.corpus import DATA, Clip, clips, load_labels, pictures
from training.recorded import RecordedTracker

FLOW_MODES = (1, 2, 3, 4)
Samples = dict[str, list[int]]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"))
    parser.add_argument("--clips", type=int, default=160, help="evenly spread over the split")
    parser.add_argument("--frames", type=int, default=75, help="from each clip")
    parser.add_argument("--bootstrap", action="store_true", help="tables of a mere guess")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.bootstrap:
        write(bootstrap())
        return
    chosen = clips(args.data, "train", permissive=True)
    chosen = chosen[:: max(len(chosen) // args.clips, 1)]
    samples: Samples = defaultdict(list)
    for number, clip in enumerate(chosen, 1):
        for mode in FLOW_MODES if number % 2 else FLOW_MODES[::2]:
            collect(clip, args.labels, args.frames, mode, samples)
        print(f"\r{number}/{len(chosen)} {clip.name}", end="", file=sys.stderr)
    print(file=sys.stderr)
    tables = {name: build_table(samples[name]) for name in bootstrap().tables}
    write(TableSet(tables, weights.shape_model().dimension, _flow()))


def collect(clip: Clip, labels: Path, frames: int, mode: int, samples: Samples) -> None:
    """Encode the start of ``clip`` with layer ``mode`` and count its symbols."""

    def count(trace: GroupTrace) -> None:
        if mode == FLOW_MODES[0]:
            _count_states(trace, samples)
        if trace.group.flow is not None:
            for index, value in enumerate(trace.group.flow.values.tolist()):
                samples[f"flow.{mode}.{index}"].append(value)

    layers = LayerConfig(modes=(mode,))
    config = EncoderConfig(tick_rate=clip.rate, layers=layers, renderer="geometric")  # is quicker
    encoder = Encoder(config, RecordedTracker(load_labels(labels, clip)), trace=count)
    for index, picture in enumerate(pictures(clip)[:frames]):
        encoder.encode(Frame(picture, index, Fraction(1) / clip.rate))
    encoder.flush()


def _count_states(trace: GroupTrace, samples: Samples) -> None:
    """Count residuals at every quantiser: intra of the first frame, inter of the others."""
    for q, multiplier in enumerate(MULTIPLIERS):
        start = np.asarray(to_quantiser(trace.reference_state, q), np.int32)
        rows = quantise_group(trace.states * (8 / multiplier), start)
        steps = np.diff(np.concatenate([start[None], rows]), axis=0)
        for context, values in (("intra", steps[:1]), ("inter", steps[1:])):
            for d, column in enumerate(values.T.tolist()):
                samples[f"{context}.{q}.{d}"].extend(column)


def bootstrap() -> TableSet:
    """Return Laplace tables of a plausible width, to run the encoder before any are fitted."""
    dimension = weights.shape_model().dimension
    tables: dict[str, FrequencyTable] = {}
    for q, multiplier in enumerate(MULTIPLIERS):
        for d in range(dimension):
            tables[f"intra.{q}.{d}"] = laplace_table(6 * 8 / multiplier, 120)
            tables[f"inter.{q}.{d}"] = laplace_table(1.2 * 8 / multiplier, 60)
    for mode in FLOW_MODES:
        for index in range(value_count(mode)):
            tables[f"flow.{mode}.{index}"] = laplace_table(0.6, 40)
    return TableSet(tables, dimension, _flow())


def _flow() -> dict[int, int]:
    return {mode: value_count(mode) for mode in FLOW_MODES}


def write(tables: TableSet) -> None:
    """Write the tables and bring the manifest's hashes up to date."""
    target = weights.FOLDER / "tables.safetensors"
    tables.save(target)
    target.chmod(0o644)
    update_manifest(weights.FOLDER)
    print(f"{target}: {len(tables.tables)} tables, hash {tables.hash.hex()}")


def update_manifest(folder: Path) -> None:
    """Refresh every file's SHA-256 in ``manifest.json``, keeping what is said about it."""
    file = folder / "manifest.json"
    entries = json.loads(file.read_text()) if file.is_file() else {}
    for path in sorted(folder.glob("*.safetensors")):
        entry = entries.setdefault(path.name, {})
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if not entries:
        raise WeightsError(f"expected safetensors in {folder}, found none")
    file.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
