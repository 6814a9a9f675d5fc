# SPDX-License-Identifier: Apache-2.0
"""How far the head's motion reaches beyond the face: ``python -m training.warp_table``.

Codes the start of train clips once, then warps the same references by the same motion with every
``FieldConfig``, without what the stream says of motion beyond the face, and prints LPIPS and DISTS,
and the geometric means of their ratios to the first row.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.decoder import DecodedState, Decoder
from talkcodec.encoder import EncoderConfig
from talkcodec.face import open_tracker
from talkcodec.metrics import Clip as MetricClip
from talkcodec.metrics import open_metrics
from talkcodec.render.field import FieldConfig
from talkcodec.render.generated import GeneratedRenderer
from talkcodec.render.geometric import GeometricRenderer
from talkcodec.render.renderer import Renderer
from talkcodec.types import U8, Packet
from training.corpus import DATA, Clip, canvas, clips, pictures
from training.study import coded, one_a_person

_FLAT = FieldConfig(steepest=math.inf, near=0.25, recedes=0.0)
_WIDE = replace(_FLAT, steepest=0.55)
_DEEP = replace(_WIDE, recedes=1.0)
VARIANTS = {
    "fixed fade, flat head": _FLAT,
    "fade by the way, flat head": _WIDE,
    "head recedes by 0.7 until 0.35": replace(_WIDE, recedes=0.7, recedes_until=0.35),
    "head recedes by 1 until 0.2": _DEEP,
    "and near is 0.15": replace(_DEEP, near=0.15),
    "and near is 0.1: as shipped": FieldConfig(),
}


@dataclass(frozen=True, slots=True)
class Coded:
    """A clip's packets, and every n-th of its pictures by tick."""

    packets: list[Packet]
    truth: dict[int, U8]
    rate: Fraction


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--clips", type=int, default=18, help="at most, one a person")
    parser.add_argument("--frames", type=int, default=125, help="from each clip")
    parser.add_argument("--every", type=int, default=8, help="score every n-th frame")
    parser.add_argument("--renderer", choices=("geometric", "generated"), default="geometric")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    chosen = one_a_person(clips(args.data, "train", seconds=4), args.clips)
    codes = (start_of(clip, args.frames, args.every) for clip in chosen)
    scores = np.array([measure(clip, args.renderer) for clip in codes])
    print("| variant | LPIPS | ratio | DISTS | ratio |\n|---|---|---|---|---|")
    for name, rows in zip(VARIANTS, np.moveaxis(scores, 1, 0), strict=True):
        mean, ratio = rows.mean(0), np.exp(np.log(rows / scores[:, 0]).mean(0))
        print(f"| {name} | {mean[0]:.4f} | {ratio[0]:.3f} | {mean[1]:.4f} | {ratio[1]:.3f} |")


def start_of(clip: Clip, frames: int, every: int) -> Coded:
    """Encode the start of ``clip`` as it ships, but for the renderer, which is quicker."""
    source = pictures(clip)[:frames]
    config = EncoderConfig(tick_rate=clip.rate, renderer="geometric")
    packets = coded(source, config, open_tracker())
    truth = {tick: canvas(source[tick], config.size) for tick in range(0, len(source), every)}
    return Coded(packets, truth, clip.rate)


def measure(clip: Coded, name: str) -> list[tuple[float, float]]:
    """Return the mean (LPIPS, DISTS) of each variant, drawn by the renderer of that ``name``."""
    suite = open_metrics(("lpips", "dists"))
    rows = []
    for config in VARIANTS.values():
        shown = drawn(clip, renderer(name, config))
        truth = [clip.truth[tick] for tick in shown]
        ours = MetricClip(list(shown.values()), clip.rate)
        scores = suite.against(MetricClip(truth, clip.rate)).score(ours)
        rows.append((float(np.nanmean(scores["lpips"])), float(np.nanmean(scores["dists"]))))
    return rows


def renderer(name: str, config: FieldConfig) -> Renderer:
    """Return the renderer of that ``name`` with another field."""
    model, topology = weights.shape_model(), weights.topology()
    if name == "generated":
        return GeneratedRenderer(model, topology, beyond=config)
    return GeometricRenderer(model, topology, beyond=config)


def drawn(clip: Coded, by: Renderer) -> dict[int, U8]:
    """Return the pictures at the ticks of ``clip.truth``."""
    decoder, shown = Decoder(renderer=by), {}
    for packet in clip.packets:
        for state in decoder.receive(packet.data):
            if state.tick in clip.truth and state.fresh:
                shown[state.tick] = decoder.render(_bare(state))
    return shown


def _bare(state: DecodedState) -> DecodedState:
    return replace(state, drawing=replace(state.drawing, layers=()))


if __name__ == "__main__":
    main()
