# SPDX-License-Identifier: Apache-2.0
"""What a choice in the encoder costs and gains: ``python -m training.study banks``, or another.

Encodes clips with the teacher's landmarks (``--tracker builtin``: ours), decodes them, and prints
rate against LPIPS and DISTS for every variant. ``--split train`` is for choosing, ``--split val``
for reporting. ``defaults`` is the codec as it ships.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from talkcodec.analysis import LayerConfig
from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.face import FaceTracker, open_tracker
from talkcodec.metrics import Clip as MetricClip
from talkcodec.metrics import open_metrics
from talkcodec.reference.policy import RefreshConfig
from talkcodec.types import U8, Frame, Packet
from training.corpus import DATA, Clip, canvas, clips, load_labels, pictures
from training.recorded import RecordedTracker

#: Bits a second for references after the first, in the study of banks.
BANK_RATES = (400.0, 1600.0)


HEADING = (
    "| variant | kbit/s | without first reference | motion B/frame | first reference B |"
    " references | LPIPS | DISTS |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One clip under one variant. Rates in kbit/s, ``motion`` and ``first`` in bytes."""

    kbps: float
    without_first: float
    motion: float
    first: int
    references: int
    lpips: float
    dists: float


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tracker", choices=("recorded", "builtin"), default="recorded")
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"), help="if recorded")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--clips", type=int, default=8, help="at most, one a person")
    parser.add_argument("--seconds", type=float, default=4, help="of clips at least")
    parser.add_argument("--frames", type=int, default=150, help="from each clip")
    parser.add_argument("--every", type=int, default=10, help="score every n-th frame")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    chosen = one_a_person(clips(args.data, args.split, seconds=args.seconds), args.clips)
    rows = {}
    print(HEADING, flush=True)
    for name, config in STUDIES[args.study].items():
        labels = args.labels if args.tracker == "recorded" else None
        outcomes = [measure(c, config, labels, args.frames, args.every) for c in chosen]
        mean = {
            field: float(np.mean([getattr(o, field) for o in outcomes]))
            for field in Outcome.__dataclass_fields__
        }
        rows[name] = mean
        print(
            f"| {name} | {mean['kbps']:.2f} | {mean['without_first']:.2f} | {mean['motion']:.1f} |"
            f" {mean['first']:.0f} | {mean['references']:.1f} | {mean['lpips']:.4f} |"
            f" {mean['dists']:.4f} |",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=2) + "\n")


def measure(
    clip: Clip, config: EncoderConfig, labels: Path | None, frames: int, every: int
) -> Outcome:
    """Encode and decode the start of ``clip`` and score every ``every``-th frame.

    ``labels``: a folder of landmarks; None for the shipped tracker's.
    """
    source = pictures(clip)[:frames]
    face = RecordedTracker(load_labels(labels, clip)) if labels else open_tracker()
    packets = coded(source, replace(config, tick_rate=clip.rate), face)
    shown = draw(packets, len(source), every)
    truth = [canvas(picture, config.size) for picture in source[::every]]
    suite = open_metrics(("lpips", "dists"))
    rate = Fraction(clip.rate) / every
    scores = suite.against(MetricClip(truth, rate)).score(MetricClip(shown, rate))
    seconds = len(source) / float(clip.rate)
    references = [len(p.data) for p in packets if p.kind == "reference"]
    total = sum(len(p.data) for p in packets)
    return Outcome(
        kbps=total * 8 / seconds / 1000,
        without_first=(total - references[0]) * 8 / seconds / 1000,
        motion=sum(len(p.data) for p in packets if p.kind == "motion") / len(source),
        first=references[0],
        references=len(references),
        lpips=float(np.nanmean(scores["lpips"])),
        dists=float(np.nanmean(scores["dists"])),
    )


def coded(source: Sequence[U8], config: EncoderConfig, tracker: FaceTracker) -> list[Packet]:
    """Encode pictures, one a tick, and close ``tracker``."""
    with closing(tracker):
        encoder = Encoder(config, tracker)
        packets = [encoder.header()]
        for index, picture in enumerate(source):
            packets += encoder.encode(Frame(picture, index, 1 / config.tick_rate))
        return [*packets, *encoder.flush()]


def draw(packets: Iterable[Packet], count: int, every: int) -> list[U8]:
    """Return what a receiver shows at frames 0, ``every``, …: the newest drawn by then."""
    decoder = Decoder()
    pictures_at: dict[int, U8] = {}
    for packet in packets:
        for state in decoder.receive(packet.data):
            if state.tick % every == 0:
                pictures_at[state.tick] = decoder.render(state)
    ticks = sorted(pictures_at)
    return [
        pictures_at[max((t for t in ticks if t <= tick), default=ticks[0])]
        for tick in range(0, count, every)
    ]


def one_a_person(candidates: list[Clip], most: int) -> list[Clip]:
    """Return at most ``most`` clips of different people, evenly spread."""
    people = list({clip.identity: clip for clip in reversed(candidates)}.values())[::-1]
    return people[:: max(len(people) // most, 1)][:most]


_LAYERS = {
    "off": (),
    "affine": (1,),
    "4x4 of the person": (2,),
    "6x6": (3,),
    "8x8": (4,),
    "4x4 of the person or 6x6": (2, 3),
}
STUDIES: dict[str, dict[str, EncoderConfig]] = {
    "defaults": {"default": EncoderConfig()},
    "layers": {
        name: EncoderConfig(layers=replace(LayerConfig(), modes=modes))
        for name, modes in _LAYERS.items()
    },
    "banks": {
        f"bank {bank}, {rate:.0f} bit/s": EncoderConfig(
            bank=bank, refresh=replace(RefreshConfig(), rate=rate)
        )
        for bank in (1, 2, 4, 8)
        for rate in BANK_RATES
    },
    "moments": {
        "at any moment": EncoderConfig(refresh=replace(RefreshConfig(), settle=0.0, unusual=0.0)),
        "after 2 s": EncoderConfig(refresh=replace(RefreshConfig(), unusual=0.0)),
        "after 2 s, when worse than usual": EncoderConfig(),
    },
    "pulled": {
        f"tears count {tears:g} times": EncoderConfig(layers=replace(LayerConfig(), tears=tears))
        for tears in (0.0, 1.0, 2.0)
    },
    "tears": {
        f"from {torn:g}": EncoderConfig(refresh=replace(RefreshConfig(), torn=torn))
        for torn in (math.inf, 0.048, 0.024, 0.012)
    },
    "lost": {
        f"from {sudden:g} times": EncoderConfig(refresh=replace(RefreshConfig(), sudden=sudden))
        for sudden in (math.inf, 2.4, 1.8, 1.4)
    },
}


if __name__ == "__main__":
    main()
